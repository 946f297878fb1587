//! The two-site configuration that the README shows is one that the program takes.

use std::fs;

use dr_watchdog_tests::program::{command, in_repository, run};
use dr_watchdog_tests::scratch::{Scratch, set_mode};

#[test]
fn every_example_configuration_passes_the_check() {
    let mut checked = 0;
    for entry in fs::read_dir(in_repository("host/examples")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "toml") {
            let scratch = Scratch::new("example");
            let file = scratch.write("etc/dr-watchdog/dr-watchdog.toml", fs::read(&path).unwrap());
            set_mode(&file, 0o600);
            let check = run(command(["config", "check", "--root"]).arg(scratch.path())).is_orderly();
            assert_eq!(check.code(), 0, "{}\n{}", path.display(), check.all());
            checked += 1;
        }
    }
    assert!(checked >= 2, "two sites have two configurations; there are {checked}");
}
