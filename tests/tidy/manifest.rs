//! What cargo says of the workspace, asked once without network.

use std::sync::OnceLock;

use dr_watchdog_tests::program;
use serde_json::Value;

/// `cargo metadata` of the workspace for this platform.
pub(crate) fn metadata() -> &'static Value {
    static METADATA: OnceLock<Value> = OnceLock::new();
    METADATA.get_or_init(|| {
        let host = host_triple();
        let mut command = std::process::Command::new(env!("CARGO"));
        command.current_dir(program::repository());
        command.args([
            "metadata",
            "--offline",
            "--locked",
            "--format-version",
            "1",
            "--filter-platform",
            &host,
        ]);
        program::run(&mut command).expect(0).json()
    })
}

fn host_triple() -> String {
    let mut command = std::process::Command::new(env!("CARGO"));
    let run = program::run(command.arg("-vV")).expect(0);
    let line = run.stdout.lines().find_map(|line| line.strip_prefix("host: "));
    line.unwrap_or_else(|| panic!("cargo names no host\n{}", run.all())).to_owned()
}

/// The packages of the workspace or, with `false`, those of others.
pub(crate) fn packages(ours: bool) -> Vec<&'static Value> {
    let all = metadata()["packages"].as_array().unwrap();
    all.iter().filter(|package| package["source"].is_null() == ours).collect()
}

/// Names of what a package depends on in this manner (`null`, `dev`, `build`).
pub(crate) fn dependencies(package: &Value, kind: Option<&str>) -> Vec<String> {
    let all = package["dependencies"].as_array().unwrap();
    let wanted = all.iter().filter(|dependency| dependency["kind"].as_str() == kind);
    wanted.map(|dependency| dependency["name"].as_str().unwrap().to_owned()).collect()
}
