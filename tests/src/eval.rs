//! `policy eval` as a person types it, for policies that a test writes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::needs;
use crate::program::{self, Run, run_within};
use crate::scratch::Scratch;

/// Longest `policy eval` with a policy that does not answer: the default deadline, grace, TERM, KILL, with room.
pub const EVAL_LIMIT: Duration = Duration::from_secs(45);

/// Sections of a standby with three arbiters, in the manual's shape.
pub fn sections(role: &str) -> Value {
    let arbiter = |host: &str| json!({"username": "user1", "password": "***", "host": host, "port": 22, "privateKey": ""});
    let arbiters = ["203.0.113.1", "203.0.113.2", "203.0.113.3"].map(arbiter);
    json!({
        "role": role,
        "failover": "",
        "core": {"peerVip": "192.0.2.10", "adminPass": "***", "scpTimeout": 120,
            "peerLoadBalancerNodes": "192.0.2.11", "peerBusinessLogicNodes": "", "peerDeviceMgtIps": ""},
        "watchdog": {
            "heartbeat": {"retries": 4, "timeout": 5, "interval": 30},
            "notification": {"email": "", "interval": 3600},
            "failureDetection": {"isCustom": true, "script": "",
                "threshold": {"failover": 0.5, "adjustManaged": 0.5, "warning": 0.7}, "waitDuration": "8h",
                "arbiters": arbiters}},
    })
}

/// Probes in which every arbiter answers, and none is managed by the other site.
pub fn free_arbiters() -> Value {
    let seen = json!({"ping": true, "rttMs": 0.5, "ssh": "ok", "sessions": []});
    json!({"now": "2026-01-01T00:00:00+00:00", "situation": "peerLost",
        "arbiters": {"203.0.113.1": seen, "203.0.113.2": seen, "203.0.113.3": seen}})
}

/// A folder with sections, probes and policies.
#[derive(Debug)]
pub struct Bench {
    /// The folder.
    pub scratch: Scratch,
}

impl Default for Bench {
    fn default() -> Self {
        Self::new()
    }
}

impl Bench {
    /// A standby whose arbiters are free.
    pub fn new() -> Self {
        let scratch = Scratch::new("eval");
        scratch.write("sections.json", sections("standby").to_string());
        scratch.write("probes.json", free_arbiters().to_string());
        Self { scratch }
    }

    /// Writes a policy; one whose name has no ending may be executed.
    pub fn policy(&self, name: &str, content: &str) -> PathBuf {
        if name.contains('.') {
            self.scratch.write(name, content)
        } else {
            self.scratch.executable(name, content)
        }
    }

    /// `policy eval` of a file, with more arguments.
    pub fn eval_with(&self, file: &Path, more: &[&str]) -> Run {
        let mut command = program::command(["policy", "eval"]);
        command.arg(file).arg("--sections").arg(self.scratch.join("sections.json"));
        command.arg("--probes").arg(self.scratch.join("probes.json")).arg("--json").args(more);
        run_within(&mut command, EVAL_LIMIT, b"").is_orderly()
    }

    /// `policy eval` of a file.
    pub fn eval(&self, file: &Path) -> Run {
        self.eval_with(file, &[])
    }

    /// `policy eval` of a file that may try to end every process there is: in a pid namespace that holds nothing else.
    /// There the program is not the first process, which nothing could end anyway.
    pub fn eval_apart(&self, file: &Path) -> Run {
        let mut command = program::clean(&needs::program("unshare"));
        command.args(["-pf", "--mount-proc", "--kill-child", "/bin/sh", "-c", "\"$0\" \"$@\"; exit $?"]);
        command.arg(program::twin()).args(["policy", "eval"]).arg(file);
        command.arg("--sections").arg(self.scratch.join("sections.json"));
        command.arg("--probes").arg(self.scratch.join("probes.json")).arg("--json");
        run_within(&mut command, EVAL_LIMIT, b"").is_orderly()
    }

    /// Demands that the file gives no verdict of its own, for one of these reasons, and that all the same a legal
    /// verdict of `nothing` comes out; the error.
    #[track_caller]
    pub fn fails(&self, file: &Path, kinds: &[&str], says: &[&str]) -> Value {
        let run = self.eval(file).expect(1);
        let answer = run.json();
        assert_eq!(answer["ok"], false, "{}", run.all());
        let verdict = &answer["verdict"];
        assert_eq!(
            (&verdict["state"], &verdict["action"]),
            (&"standby".into(), &"nothing".into()),
            "{}",
            run.all()
        );
        assert_eq!(verdict["payload"]["waitTime"], "", "{}", run.all());
        let error = &answer["error"];
        let kind = error["kind"].as_str().unwrap_or("none");
        assert!(kinds.contains(&kind), "the kind is \"{kind}\", not one of {kinds:?}\n{}", run.all());
        let text = error.to_string();
        for part in says {
            assert!(text.contains(part), "\"{part}\" is not said\n{}", run.all());
        }
        error.clone()
    }
}
