//! What is left of the wall where the watchdog is an ordinary user, or the system forbids namespaces.

#![allow(clippy::unwrap_used, reason = "what a test calls fails by panicking, like the test itself")]

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

#[path = "support/faults.rs"]
mod faults;
use faults::compile;

/// A plugin, a program and a question where an ordinary user finds them.
struct Open(tempfile::TempDir);

impl Open {
    fn new() -> Self {
        let folder = tempfile::Builder::new().tempdir_in("/tmp").unwrap();
        let opened = |path: &Path| {
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
        };
        opened(folder.path());
        compile(folder.path());
        let program = folder.path().join("dr-watchdog");
        std::fs::copy(env!("CARGO_BIN_EXE_dr-watchdog"), &program).unwrap();
        opened(&program);
        std::fs::write(folder.path().join("s.json"), r#"{"role":"standby"}"#).unwrap();
        std::fs::write(folder.path().join("p.json"), "{}").unwrap();
        Self(folder)
    }

    /// `policy eval` of this harm, run by `launcher`.
    fn command(&self, harm: &str, launcher: &mut Command) {
        let folder = self.0.path();
        std::fs::write(folder.join("c.json"), json!({ "do": harm }).to_string()).unwrap();
        self.eval("faults.so", launcher);
    }

    /// `policy eval` of a script with this body, run by `launcher`.
    fn script(&self, body: &str, launcher: &mut Command) {
        use std::os::unix::fs::PermissionsExt;
        let path = self.0.path().join("script");
        std::fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::write(self.0.path().join("c.json"), "{}").unwrap();
        self.eval("script", launcher);
    }

    fn eval(&self, policy: &str, launcher: &mut Command) {
        let folder = self.0.path();
        launcher
            .arg(folder.join("dr-watchdog"))
            .args(["policy", "eval", "--json", "--deadline", "1500ms", "--config", "c.json"])
            .args(["--sections", "s.json", "--probes", "p.json"])
            .arg(folder.join(policy))
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
    }
}

fn answer(printed: &str) -> Value {
    serde_json::from_str(printed).unwrap_or_else(|_| panic!("{printed}"))
}

/// Goal: an ordinary user's wall, a user namespace, holds the same table; needs root to become one.
#[test]
fn an_ordinary_users_wall_holds_too() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let open = Open::new();
    let eval = |harm: &str| {
        let mut command = Command::new("setpriv");
        command.args(["--clear-groups", "--reuid=12345", "--regid=12345"]);
        open.command(harm, &mut command);
        answer(&String::from_utf8_lossy(&command.output().unwrap().stdout))
    };
    let told = eval("who")["verdict"]["description"].as_str().unwrap().to_owned();
    assert!(told.ends_with("pid 1 file 0 sent 0"), "{told}");
    assert_eq!(eval("look")["verdict"]["description"], "seen 0 opened 0 reached 0");
    // Its group holds the outer half of its worker, which here is the same user's; the filter lets no signal out.
    assert_eq!(eval("kill")["verdict"]["description"], "good");
    assert_eq!(eval("null")["error"]["kind"], "crash");
    assert_eq!(eval("fork")["error"]["kind"], "timeout");
}

/// No namespace can be made in here, as in many a container; then this user.
const FORBIDDING: &str = "for limit in /proc/sys/user/max_*_namespaces; do echo 0 >$limit; done; user=$1; shift; exec setpriv --clear-groups --reuid=$user --regid=$user \"$@\"";

/// Waits for its user's number to be given a meaning; a program that starts afterwards has the rights of root in here.
const WAITING: &str = "echo ready; read go; exec sh -c \"$0\" sh \"$@\"";

/// What `policy eval` prints in a user namespace that forbids every other one.
fn eval_without_namespaces(open: &Open, user: &str, harm: &str) -> Value {
    let mut command = Command::new("unshare");
    command.args(["--user", "sh", "-c", WAITING, FORBIDDING, user]);
    open.command(harm, &mut command);
    in_there(&mut command)
}

/// Runs it with the users of this machine.
fn in_there(command: &mut Command) -> Value {
    use std::io::{BufRead, BufReader, Read, Write};
    let mut child = command.spawn().unwrap();
    let mut printed = BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    printed.read_line(&mut text).unwrap();
    assert_eq!(text, "ready\n");
    for map in ["uid_map", "gid_map"] {
        std::fs::write(format!("/proc/{}/{map}", child.id()), "0 0 65536").unwrap();
    }
    child.stdin.take().unwrap().write_all(b"go\n").unwrap();
    text.clear();
    printed.read_to_string(&mut text).unwrap();
    child.wait().unwrap();
    answer(&text)
}

/// Goal: a system that forbids every namespace still gets a guest that reaches nothing: an ordinary user's guest, who
/// is the same user as the watchdog, and root's, who is nobody. Wrong would be: it does not load, a signal gets out, or
/// nobody is told what is missing.
#[test]
fn where_no_namespace_may_be_made_the_other_layers_hold() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let open = Open::new();
    for user in ["12345", "0"] {
        let eval = |harm: &str| eval_without_namespaces(&open, user, harm);
        let told = eval("who")["verdict"]["description"].as_str().unwrap_or_default().to_owned();
        assert!(told.ends_with("file 0 sent 0") && !told.contains("pid 1 "), "as {user}: {told}");
        assert_eq!(told.starts_with("uid 65534 "), user == "0", "as {user}: {told}");
        let told = eval("look")["verdict"]["description"].as_str().unwrap_or_default().to_owned();
        assert!(told.ends_with(" opened 0 reached 0"), "as {user}: {told}");
        assert_eq!(eval("kill")["verdict"]["description"], "good", "as {user}");
        for (harm, kind) in [
            ("null", "crash"),
            ("exit", "crash"),
            ("fork", "timeout"),
            ("escape", "timeout"),
            ("allocate", "crash"),
        ] {
            assert_eq!(eval(harm)["error"]["kind"], kind, "{harm} as {user}");
        }
    }
}

/// Goal: where an ordinary user's script gets no processes of its own, it may still signal none but those that it started,
/// and that it is so is said. Wrong would be: the program that asks is killed, and nothing is printed. What may kill
/// everything runs in a pid namespace that holds nothing else.
#[test]
fn a_script_without_a_namespace_signals_nobody_else() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let open = Open::new();
    let verdict =
        r#"echo '{"state":"standby","action":"nothing","description":"good","payload":{"waitTime":""}}'"#;
    let eval = |body: &str| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--pid", "--fork", "--kill-child", "sh", "-c", WAITING, FORBIDDING, "12345"]);
        open.script(body, &mut command);
        in_there(&mut command)
    };
    assert_eq!(eval(verdict)["verdict"]["description"], "good");
    for body in ["kill -KILL $PPID", "kill -KILL -1", "setsid -f sleep 1000; kill -KILL -1"] {
        let answer = eval(&format!("{body}\n{verdict}"));
        assert_eq!(answer["verdict"]["action"], "nothing", "{body}: {answer}");
    }
    let told = eval(&format!("test \"$(ulimit -c) $(ulimit -n)\" = '0 256' || exit 3\n{verdict}"));
    assert_eq!(told["error"], Value::Null, "{told}");
}
