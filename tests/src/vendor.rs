//! A vendor's crate: made, built and tested by cargo as a vendor would, outside of this workspace.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::program::{Run, in_repository, run_within, target_folder};

/// Longest build: everything the SDK needs, on a machine with other work.
const BUILD_LIMIT: Duration = Duration::from_secs(900);
/// Where the crate of a guide expects this repository's SDK.
const SDK_OF_THE_GUIDE: &str = "../dr-watchdog/sdk";

/// A crate in a folder of its own, which is kept from run to run as the rest of cargo's output is.
#[derive(Debug)]
pub struct Crate {
    /// Its folder.
    pub folder: PathBuf,
}

impl Crate {
    /// A crate with these files; the SDK of the guide becomes the one of this repository, the versions are the locked
    /// ones of this repository, so that nothing is downloaded.
    pub fn new(name: &str, manifest: &str, library: &str) -> Self {
        let folder = target_folder().join("../vendors").join(name);
        fs::create_dir_all(folder.join("src")).unwrap();
        let sdk = in_repository("sdk");
        // Its own workspace: the folder lies below ours.
        let manifest = manifest.replace(SDK_OF_THE_GUIDE, sdk.to_str().unwrap()) + "\n[workspace]\n";
        fs::write(folder.join("Cargo.toml"), manifest).unwrap();
        fs::write(folder.join("src/lib.rs"), library).unwrap();
        fs::copy(in_repository("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
        Self { folder: folder.canonicalize().unwrap() }
    }

    /// A crate of a name, with what the SDK's guide depends on.
    pub fn plain(name: &str, library: &str) -> Self {
        let manifest = format!(
            "[package]\nname = \"{name}\"\nversion = \"1.0.0\"\nedition = \"2024\"\n\n[lib]\ncrate-type = [\"cdylib\"]\n\n\
             [dependencies]\ndr-watchdog-sdk = {{ path = \"{SDK_OF_THE_GUIDE}\" }}\nschemars = \"1\"\n\
             serde = {{ version = \"1\", features = [\"derive\"] }}\n"
        );
        Self::new(name, &manifest, library)
    }

    /// A command in its folder, with the variables that keep cargo offline and its output in one place for all crates.
    pub fn prepare(&self, command: &mut Command) {
        command.current_dir(&self.folder);
        command.env("CARGO_NET_OFFLINE", "true").env("CARGO_TERM_COLOR", "never");
        command.env("CARGO_TARGET_DIR", self.folder.join("../target"));
    }

    /// Runs cargo.
    pub fn cargo(&self, arguments: &[&str]) -> Run {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        self.prepare(cargo.args(arguments));
        run_within(&mut cargo, BUILD_LIMIT, b"")
    }

    /// Builds it; the library.
    pub fn build(&self, name: &str) -> PathBuf {
        self.cargo(&["build"]).expect(0);
        let library = format!("../target/debug/lib{}.so", name.replace('-', "_"));
        self.folder.join(library).canonicalize().unwrap()
    }
}
