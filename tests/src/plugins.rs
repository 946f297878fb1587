//! Plugins in C: compiled by the test from a fixture, with one fault each.

use std::path::PathBuf;

use crate::needs;
use crate::program::{clean, in_repository, run};
use crate::scratch::Scratch;

/// Compiles a file into a library; `defines` choose the fault.
///
/// # Panics
/// When the compiler finds fault with it: a fixture is as clean as a vendor's plugin should be.
pub fn compile(scratch: &Scratch, source: &str, name: &str, defines: &[&str]) -> PathBuf {
    let library = scratch.join(name);
    let mut cc = clean(&needs::program("cc"));
    cc.args([
        "-std=c11",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-Wno-unused-parameter",
        "-O1",
        "-shared",
        "-fPIC",
        "-I",
    ]);
    cc.arg(in_repository("sdk/include")).arg("-o").arg(&library);
    cc.args(defines.iter().map(|define| format!("-D{define}")));
    run(cc.arg(in_repository(source))).expect(0);
    library
}
