//! The plugin that does harm, compiled.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Compiles it into this folder.
pub(crate) fn compile(folder: &Path) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = folder.join("faults.so");
    let done = Command::new("cc")
        .args(["-std=c99", "-Wall", "-Wextra", "-O0", "-shared", "-fPIC", "-pthread", "-I"])
        .arg(root.join("../sdk/include"))
        .arg(root.join("tests/fixtures/faults.c"))
        .arg("-o")
        .arg(&output)
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    output
}
