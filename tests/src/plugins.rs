//! Plugins in C: compiled by the test from a fixture, with one fault each.

use std::path::PathBuf;
use std::process::Command;

use crate::needs;
use crate::program::{clean, in_repository, run};
use crate::scratch::Scratch;

/// Compiles a file into a library; `defines` choose the fault.
///
/// # Panics
/// When the compiler finds fault with it: a fixture is as clean as a vendor's plugin should be.
pub fn compile(scratch: &Scratch, source: &str, name: &str, defines: &[&str]) -> PathBuf {
    let defines: Vec<String> = defines.iter().map(|define| format!("-D{define}")).collect();
    compile_with(scratch, source, name, &defines)
}

/// The same with options of the compiler.
///
/// # Panics
/// As above.
pub fn compile_with(scratch: &Scratch, source: &str, name: &str, options: &[String]) -> PathBuf {
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
    cc.args(options);
    run(cc.arg(in_repository(source))).expect(0);
    library
}

/// Compiles a file of Rust that needs no crate into a library, as a vendor without our SDK would, whose panics abort.
///
/// # Panics
/// When the compiler finds fault with it.
pub fn compile_aborting(scratch: &Scratch, source: &str, name: &str) -> PathBuf {
    let library = scratch.join(name);
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.args(["--edition=2021", "--crate-type=cdylib", "-Cpanic=abort", "-Dwarnings", "-o"]).arg(&library);
    run(rustc.arg(in_repository(source))).expect(0);
    library
}
