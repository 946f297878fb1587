//! The configuration: raw as written, lowered to what the program needs, all errors at once.

use std::path::Path;

use crate::paths::Paths;

pub mod arithmetic;
pub mod certificate;
pub mod defaults;
mod error;
pub mod host;
mod lower;
pub mod model;
pub mod pending;
mod raw;
mod reader;
mod report;
mod safety;
mod secret;
mod shown;
#[cfg(test)]
mod tests;
mod values;

pub use error::{ConfigError, ConfigErrors, chain};
pub use lower::load_text;
pub use model::Config;
pub use report::{Machine, Surroundings};
pub use safety::{HASH_BYTES, safety_hash, safety_settings};
pub use shown::{sections, with_secrets, without_secrets};

/// Longest configuration file: a thousand arbiters take about 200 KB.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Reads and checks the configuration of this root; the warnings come with it.
///
/// # Errors
/// All that is wrong with it.
pub fn load(paths: &Paths) -> Result<(Config, Vec<String>), ConfigErrors> {
    load_file(&paths.config_file)
}

/// Reads and checks a configuration file; the warnings come with it.
///
/// # Errors
/// All that is wrong with it.
pub fn load_file(file: &Path) -> Result<(Config, Vec<String>), ConfigErrors> {
    let bytes = Machine.read(file, FILE_BYTES_MAX).map_err(|error| {
        let expected = match error.kind() {
            std::io::ErrorKind::NotFound => {
                "a configuration there, or --root DIR with DIR/etc/dr-watchdog/dr-watchdog.toml"
            }
            _ => "a file that this user can read",
        };
        ConfigErrors::unreadable(file, format!("no readable file ({error})"), expected.to_owned())
    })?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let place = format!("a byte that is no UTF-8 at position {}", error.utf8_error().valid_up_to());
        ConfigErrors::unreadable(file, place, "UTF-8 text".to_owned())
    })?;
    load_text(&file.display().to_string(), &text, &Machine)
}
