//! Completions, man pages, revealed credentials: what the program prints about itself.

use dr_watchdog_tests::program::{command, run, system};
use dr_watchdog_tests::scratch::{Scratch, set_mode};

#[test]
fn completions_are_made_for_every_shell_and_bash_reads_its_own() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let made = run(command(["completions"]).arg(shell)).expect(0).is_orderly();
        assert!(made.stdout.contains("manualFailover"), "{shell}");
    }
    let scratch = Scratch::new("completions");
    let made = run(command(["completions"]).arg("bash")).stdout;
    let file = scratch.write("completions.bash", made);
    system("bash", &["-n", file.to_str().unwrap()]);
    run(command(["completions"]).arg("sh")).expect(2);
}

#[test]
fn every_command_for_people_has_a_page() {
    let scratch = Scratch::new("man");
    let folder = scratch.join("man1");
    run(command(["man", "--folder"]).arg(&folder)).expect(0).is_orderly();
    for page in ["dr-watchdog", "dr-watchdog-manualFailover", "dr-watchdog-toolkit-config-update"] {
        let text = std::fs::read_to_string(folder.join(format!("{page}.1"))).unwrap();
        assert!(text.contains(".TH") && text.contains("SYNOPSIS"), "{page}");
    }
    assert!(!folder.join("dr-watchdog-worker.1").exists());
    assert!(run(&mut command(["man"])).expect(0).stdout.contains("manualFailover"));
}

#[test]
fn credentials_are_shown_to_root_that_asks_for_them() {
    let scratch = Scratch::new("reveal");
    let text = "[site]\nname = \"a\"\nindex = 0\n[peer]\nname = \"b\"\n[core]\npeerVip = \"192.0.2.20\"\nadminPass = \"x\"\n\
        [[watchdog.failureDetection.arbiters]]\nhost = \"203.0.113.1\"\nusername = \"w\"\npassword = \"s3cret\"\n";
    set_mode(&scratch.write("etc/dr-watchdog/dr-watchdog.toml", text), 0o600);
    let root = scratch.join("");
    let config = |more: &[&str]| {
        run(command(["--root"]).arg(&root).args(["api", "v1", "config"]).args(more)).expect(0)
    };
    assert!(!config(&[]).stdout.contains("s3cret"));
    let revealed = config(&["-list", "--reveal"]).stdout;
    assert!(revealed.contains("s3cret") && revealed.contains("\"adminPass\": \"***\""), "{revealed}");
}
