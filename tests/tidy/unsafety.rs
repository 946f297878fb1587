//! Where `unsafe` may stand.

use crate::tree::{File, demand, files};

/// The two rooms whose neighbours are other languages.
const ROOMS: [&str; 3] = ["sdk/src/abi/", "sdk/src/abi.rs", "host/src/worker/native"];

/// `unsafe`, or permission for it, outside its rooms.
pub(crate) fn misplaced(files: &[File]) -> Vec<String> {
    let elsewhere =
        files.iter().filter(|file| file.is_rust() && !ROOMS.iter().any(|room| file.path.starts_with(room)));
    elsewhere
        .flat_map(|file| {
            file.code_lines()
                .filter(|(_, line)| {
                    line.split(|c: char| !c.is_alphanumeric() && c != '_')
                        .any(|word| word == "unsafe" || word == "unsafe_code")
                })
                .map(|(number, line)| format!("{}:{number}: {}", file.path, line.trim()))
                .collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn unsafe_code_stays_in_its_rooms() {
    demand("unsafe", &misplaced(&files()));
}

#[test]
fn unsafe_code_elsewhere_is_found() {
    let files = [
        File::sample("host/src/demo/mod.rs", "fn f() { unsafe { g() } }\n// unsafe in a comment\n"),
        File::sample("host/src/demo/x.rs", "#![allow(unsafe_code)]\n"),
        File::sample("sdk/src/abi/mod.rs", "unsafe fn f() {}\n"),
        File::sample("host/src/x.rs", "let an_unsafe_name = \"unsafe\";\n"),
    ];
    assert_eq!(
        misplaced(&files),
        ["host/src/demo/mod.rs:1: fn f() { unsafe { g() } }", "host/src/demo/x.rs:1: #![allow(unsafe_code)]"]
    );
}
