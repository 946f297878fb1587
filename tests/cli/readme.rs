//! The example configurations, which the README shows, are ones that the program takes.

use std::fs;

use dr_watchdog_tests::program::{command, in_repository, run, system};
use dr_watchdog_tests::scratch::{Scratch, set_mode};

/// Where an example says that its key lies.
const KEY: &str = "/etc/dr-watchdog/id_ed25519";

#[test]
fn every_example_configuration_passes_the_check() {
    for name in ["a.toml", "b.toml"] {
        let scratch = Scratch::new("example");
        let key = scratch.join("key");
        system("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", key.to_str().unwrap()]);
        for secret in ["heartbeat.key", "arbiter-1.password", "smtp.password"] {
            set_mode(&scratch.write(secret, "a secret of a test, long enough\n"), 0o600);
        }
        let text = fs::read_to_string(in_repository(&format!("host/examples/two-sites/{name}"))).unwrap();
        let file = scratch.write(name, text.replace(KEY, key.to_str().unwrap()));
        set_mode(&file, 0o600);
        run(command(["config", "check"]).arg(&file)).is_orderly().expect(0);
    }
}
