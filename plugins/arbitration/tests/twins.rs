//! The twins of the rules in other languages: the same state, action, wait for the same case.
//!
//! The scripts run as they are, under the names of their host calls on PATH; only the host is played.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use dr_watchdog_arbitration::Arbitration;
use dr_watchdog_sdk::sections::Sections;
use dr_watchdog_sdk::testing::cases::{self, Case};
use dr_watchdog_sdk::verdict::UnknownKeys;
use dr_watchdog_sdk::{Policy, Verdict};
use serde_json::{Value, json};

/// Cases that are run as real subprocesses; each costs tens of milliseconds.
const SAMPLE: usize = 250;

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/legacy")
}

/// State, action and wait: what all languages must agree on.
fn essence(verdict: &Verdict) -> String {
    format!("{} {} {}", verdict.state.word(), verdict.action.word(), verdict.payload.wait_time)
}

fn expected(case: &Case) -> String {
    let policy = Arbitration::create(Default::default()).unwrap_or_else(|error| panic!("{error}"));
    let verdict = policy.evaluate(&case.context, &case.host());
    essence(&verdict.unwrap_or_else(|error| panic!("{}: {error}", case.name)))
}

fn checked(text: &[u8]) -> String {
    let value: Value = serde_json::from_slice(text)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(text)));
    let (verdict, warnings) =
        Verdict::check(&value, UnknownKeys::Refuse).unwrap_or_else(|error| panic!("{error}: {value}"));
    assert!(warnings.is_empty());
    essence(&verdict)
}

/// A folder with `jmp-dr` and `dr-watchdog` that answer from files.
struct Played {
    folder: PathBuf,
}

impl Played {
    fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&folder)
            .and_then(|()| {
                let here = folder.display();
                let program = format!("#!/bin/sh\nexec /bin/cat \"{here}/$1-$2$3\"\n");
                for command in ["jmp-dr", "dr-watchdog"] {
                    let path = folder.join(command);
                    fs::write(&path, &program)?;
                    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
                }
                Ok(())
            })
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        Self { folder }
    }

    fn answer(&self, case: &Case) {
        let host = case.host();
        let write = |name: &str, text: String| {
            fs::write(self.folder.join(name), text).unwrap_or_else(|error| panic!("{name}: {error}"));
        };
        write("api-v1config", flattened(&case.sections));
        write("arbiters-ping--json", json!(host.ping_report()).to_string());
        write("arbiters-sessions--json", json!(host.sessions_report()).to_string());
        let (mut ping, mut sessions) = (String::new(), String::new());
        for (name, seen) in &host.ping_report().arbiters {
            let rest = seen.rtt_ms.map_or_else(|| "timeout".to_owned(), |rtt_ms| rtt_ms.to_string());
            let _ = writeln!(ping, "arbiter {name} ping {} {rest}", seen.ping == Some(true));
        }
        for (name, seen) in &host.sessions_report().arbiters {
            let ssh = seen.ssh.map_or("timeout", |ssh| ssh.word());
            let _ = writeln!(sessions, "arbiter {name} ssh {ssh} managed {}", seen.managed == Some(true));
        }
        let (role, total) = (case.context.role.word(), case.arbiters.len());
        write(
            "arbiters-ping--text",
            format!("role {role}\ntotal {total}\nreachable 0\nwarning true\n{ping}"),
        );
        write("arbiters-sessions--text", format!("role {role}\ntotal {total}\nmanaged 0\n{sessions}"));
    }

    fn run(&self, command: &[&str], case: &Case) -> String {
        self.answer(case);
        let mut child = Command::new(command[0])
            .args(&command[1..])
            .env_clear()
            .env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", self.folder.display()))
            .env("LANG", "C.UTF-8")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let sections = json!(case.sections).to_string();
        // A script that does not read its input may be gone before it is written.
        let _ = child.stdin.take().map(|mut stdin| stdin.write_all(sections.as_bytes()));
        let output = child.wait_with_output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        assert!(output.status.success(), "{}: {:?}", case.name, output.status);
        checked(&output.stdout)
    }
}

/// The sections as `api v1 config --text` prints them: one leaf a line.
fn flattened(sections: &Sections) -> String {
    fn leaf(path: &str, value: &Value, text: &mut String) {
        match value {
            Value::Object(object) => {
                for (key, value) in object {
                    leaf(&format!("{path}.{key}"), value, text);
                }
            }
            Value::Array(list) => {
                for (at, value) in list.iter().enumerate() {
                    leaf(&format!("{path}.{at}"), value, text);
                }
            }
            Value::Null => text.push_str(&format!("{} \n", &path[1..])),
            Value::String(word) => text.push_str(&format!("{} {word}\n", &path[1..])),
            other => text.push_str(&format!("{} {other}\n", &path[1..])),
        }
    }
    let mut text = String::new();
    leaf("", &json!(sections), &mut text);
    text
}

/// A Python whose path is known, so that `env_clear` cannot lose it.
fn python() -> String {
    let found = Command::new("python3").args(["-I", "-c", "import sys; print(sys.executable)"]).output();
    let output = found.unwrap_or_else(|error| panic!("python3 is needed for this test: {error}"));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn the_python_script_decides_a_sample_like_the_rules() {
    let (played, python) = (Played::new("python"), python());
    let script = scripts().join("arbitration.py").display().to_string();
    for case in cases::sample(SAMPLE) {
        let found = played.run(&[&python, "-I", &script], &case);
        assert_eq!(found, expected(&case), "{}", case.name);
    }
}

#[test]
fn the_sh_script_decides_a_sample_like_the_rules() {
    let played = Played::new("sh");
    let script = scripts().join("arbitration.sh").display().to_string();
    for case in cases::sample(SAMPLE) {
        let found = played.run(&["/bin/sh", &script], &case);
        assert_eq!(found, expected(&case), "{}", case.name);
    }
}

/// Every case in one Python: its own functions, with the two host calls played.
const ALL_IN_ONE_PYTHON: &str = r#"
import json, runpy, sys
script = runpy.run_path(sys.argv[1])
gather = script["gather"]
for line in sys.stdin:
    case = json.loads(line)
    gather.__globals__["arbiters"] = lambda what: case[what].values()
    print(json.dumps(script["decide"](gather(case["sections"]))))
"#;

#[test]
fn the_python_rules_decide_every_case_like_the_rules() {
    let cases = cases::all();
    let mut input = String::new();
    for case in &cases {
        let host = case.host();
        let (ping, sessions) = (host.ping_report().arbiters, host.sessions_report().arbiters);
        let line = json!({"sections": case.sections, "ping": ping, "sessions": sessions});
        let _ = writeln!(input, "{line}");
    }
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cases.jsonl");
    fs::write(&file, input).unwrap();
    let output = Command::new(python())
        .args(["-I", "-c", ALL_IN_ONE_PYTHON])
        .arg(scripts().join("arbitration.py"))
        .stdin(fs::File::open(&file).unwrap())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines: Vec<&[u8]> =
        output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    assert_eq!(lines.len(), cases.len());
    for (case, line) in cases.iter().zip(lines) {
        assert_eq!(checked(line), expected(case), "{}", case.name);
    }
}

#[test]
fn a_script_whose_host_call_fails_ends_with_an_error_and_no_verdict() {
    let played = Played::new("broken");
    let python = python();
    let [case] = &cases::sample(1)[..] else { panic!("one case") };
    for (script, command) in
        [("arbitration.py", vec![python.as_str(), "-I"]), ("arbitration.sh", vec!["/bin/sh"])]
    {
        let output = Command::new(command[0])
            .args(&command[1..])
            .arg(scripts().join(script))
            .env_clear()
            .env("PATH", format!("{}/absent:/usr/bin:/bin", played.folder.display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .and_then(|mut child| {
                let sections = json!(case.sections).to_string();
                let _ = child.stdin.take().map(|mut stdin| stdin.write_all(sections.as_bytes()));
                child.wait_with_output()
            })
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{script}");
        assert!(output.stdout.is_empty(), "{script}");
        assert!(!output.stderr.is_empty(), "{script} says why");
    }
}
