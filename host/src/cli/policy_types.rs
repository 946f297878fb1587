//! `policy types`: writes what an editor needs to know of a Lua policy.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use dr_watchdog_sdk::lua_types::{FILE_NAME, types};
use serde_json::json;

use super::{exit, output};

/// Name of lua-language-server's settings.
const SETTINGS: &str = ".luarc.json";
/// What of Lua a policy does not get.
const WITHOUT: [&str; 4] = ["io", "os", "debug", "package"];

/// Arguments of `policy types`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder of your policies.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Runs the command; its exit status.
pub fn write(args: &Args) -> u8 {
    match write_into(&args.folder) {
        Ok((written, kept)) => {
            if args.json {
                output::json(&json!({"ok": true, "written": written, "kept": kept}));
            } else {
                written.iter().for_each(|file| output::line(&format!("wrote {}", file.display())));
                kept.iter().for_each(|file| {
                    output::line(&format!("kept {}: it is yours already", file.display()));
                });
            }
            exit::OK
        }
        Err(why) => {
            output::failed(&format!("policy types: {why}"));
            exit::USAGE
        }
    }
}

/// Writes the types, and settings where there are none; the files written, the files kept.
///
/// # Errors
/// When a file cannot be written, with its name.
pub(super) fn write_into(folder: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>), String> {
    let failed = |path: &Path, error: io::Error| format!("{} cannot be written: {error}", path.display());
    fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    let file = folder.join(FILE_NAME);
    fs::write(&file, types()).map_err(|error| failed(&file, error))?;
    let builtin: serde_json::Map<_, _> =
        WITHOUT.into_iter().map(|name| (name.to_owned(), json!("disable"))).collect();
    let settings = json!({
        "runtime.version": "Lua 5.4",
        "runtime.builtin": builtin,
        "workspace.library": ["."],
    });
    let path = folder.join(SETTINGS);
    // An author's own settings are never replaced.
    let opened = OpenOptions::new().write(true).create_new(true).open(&path);
    let (mut written, mut kept) = (vec![file], Vec::new());
    match opened.and_then(|mut opened| writeln!(opened, "{settings:#}")) {
        Ok(()) => written.push(path),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => kept.push(path),
        Err(error) => return Err(failed(&path, error)),
    }
    Ok((written, kept))
}
