//! Tests of the Lua engine that need no worker process.

use std::cell::RefCell;
use std::collections::BTreeSet;

use super::*;

/// A host with fixed sections and a log.
#[derive(Default)]
struct Fixed {
    log: RefCell<Vec<String>>,
}

impl Host for Fixed {
    fn call(&self, name: &str, request: &Value) -> Result<Value, HostError> {
        match name {
            "config" => Ok(json!({"role": "active", "core": {"peerVip": "192.0.2.10"},
                "watchdog": {"failureDetection": {"arbiters": [{"host": "a"}, {"host": "b"}]}}})),
            "log" => {
                self.log.borrow_mut().push(request.to_string());
                Ok(Value::Null)
            }
            "ssh" => Err(HostError::Denied("ssh is not granted; add policy.grants = [\"ssh\"]".to_owned())),
            _ => Ok(json!({"asked": name, "with": request})),
        }
    }
    fn log(&self, level: Level, text: &str) {
        self.log.borrow_mut().push(format!("{} {text}", level.word()));
    }
    fn remaining_ms(&self) -> u64 {
        5_000
    }
    fn is_cancelled(&self) -> bool {
        false
    }
}

fn context() -> Context {
    Context {
        role: Role::Active,
        situation: Situation::PeerLost,
        wait_time: None,
        previous: None,
        deadline_ms: 5_000,
        now: Utc::default(),
    }
}

fn evaluate(body: &str) -> Result<Value, Failure> {
    let limits = Limits { memory_bytes: 16 << 20, load_time: Duration::from_secs(5) };
    let source = format!("return {{ evaluate = function(ctx) {body} end }}");
    let mut guest = LuaGuest::load("x.lua", &source, &json!({}), limits)?;
    guest.evaluate(&context(), &Fixed::default())
}

fn words(body: &str) -> BTreeSet<String> {
    let names = evaluate(body).unwrap();
    names.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_sandbox_is_exactly_this_list() {
    let listed = |list: &str| list.split_whitespace().map(str::to_owned).collect::<BTreeSet<_>>();
    let keys = |table: &str| {
        words(&format!(
            "local names = {{}} for name in pairs({table}) do names[#names + 1] = name end return names"
        ))
    };
    let globals = "_G _VERSION assert error getmetatable ipairs next pairs pcall print rawequal rawget rawlen rawset \
                   select setmetatable tonumber tostring type xpcall coroutine math string table utf8 dr";
    assert_eq!(keys("_G"), listed(globals));
    assert!(!keys("string").contains("dump"));
    assert!(!keys("math").contains("randomseed"));
    let dr = "config policy arbiters ping ssh tcp state log now remaining_ms after duration verdict";
    assert_eq!(keys("dr"), listed(dr), "although each is made when it is asked for");
}

#[test]
fn the_sections_read_like_tables_and_cannot_be_written() {
    for (body, expected) in [
        ("return dr.config.core.peerVip", json!("192.0.2.10")),
        ("return #dr.config.watchdog.failureDetection.arbiters", json!(2)),
        ("return dr.config.watchdog.failureDetection.arbiters[2].host", json!("b")),
        ("return dr.config.watchdog.failureDetection.arbiters[3]", json!(null)),
        (
            "local t = {} for i, a in ipairs(dr.config.watchdog.failureDetection.arbiters) do t[i] = a.host end return t",
            json!(["a", "b"]),
        ),
        (
            "local t = {} for k, v in pairs(dr.config.core) do t[k] = v end return t",
            json!({"peerVip": "192.0.2.10"}),
        ),
        ("return dr.config.core", json!({"peerVip": "192.0.2.10"})),
        (
            "return dr.config.pgsql == nil and dr.config.psql == nil and dr.config.core.adminPass == nil",
            json!(true),
        ),
        ("return not pcall(function() dr.config.core.peerVip = 1 end)", json!(true)),
        ("return ctx.waitTime == nil and ctx.role", json!("active")),
    ] {
        assert_eq!(evaluate(body), Ok(expected), "{body}");
    }
    let failure = evaluate("return dr.config.watchdog.failureDetection.arbiters[1].hsot").unwrap_err();
    let says = "dr.config.watchdog.failureDetection.arbiters[1] has no key \"hsot\"; did you mean \"host\"?";
    assert!(failure.message.contains(says), "{failure}");
    assert_eq!(failure.hint.as_deref(), Some("did you mean \"host\"?"));
}

#[test]
fn values_cross_both_ways_without_loss() {
    for (body, expected) in [
        ("return 1e3", "1000"),
        ("return 0.5", "0.5"),
        ("return 9007199254740993", "9007199254740993"),
        ("return {1, 2, {x = {}}}", "[1,2,{\"x\":{}}]"),
        (
            "return dr.tcp('h:1', {timeoutMs = 5.0})",
            r#"{"asked":"tcp","with":{"address":"h:1","timeoutMs":5}}"#,
        ),
        ("return dr.ping({})", r#"{"asked":"ping","with":{"hosts":[]}}"#),
    ] {
        let found = evaluate(body).unwrap();
        let expected: Value = serde_json::from_str(expected).unwrap();
        assert_eq!(found, expected, "{body}");
    }
    for (body, says) in [
        ("return {1, nil, 3, x = 1}", "not both"),
        ("return {[1.5] = 1}", "1.5"),
        ("return {x = 1 / 0}", "x: a number"),
        ("return '\\255'", "UTF-8"),
    ] {
        let failure = evaluate(body).unwrap_err();
        assert!(failure.message.contains(says) || body.contains("nil, 3"), "{body}: {failure}");
        assert_eq!(failure.kind, crate::policy::FailureKind::Verdict, "{body}");
    }
}

#[test]
fn a_call_that_is_not_granted_is_a_denial_with_the_line_that_grants_it() {
    let failure = evaluate("return dr.ssh('a', 'x')").unwrap_err();
    assert_eq!(failure.kind, crate::policy::FailureKind::Denied);
    assert!(failure.message.contains("policy.grants"), "{failure}");
}

#[test]
fn the_manuals_durations_and_instants_are_computed_by_the_host() {
    for (body, expected) in [
        ("return dr.duration('30m')", json!(1_800)),
        ("return dr.duration('8h')", json!(28_800)),
        ("return dr.duration('0') == nil", json!(true)),
        ("return dr.after('2026-01-01T00:00:00Z', 60)", json!("2026-01-01T00:01:00+00:00")),
        ("return dr.verdict.wait('2026-01-01T00:00Z', 'why').payload.waitTime", json!("2026-01-01T00:00Z")),
        (
            "return dr.verdict.beStandby('why', {a = 1})",
            json!({"state": "active", "action": "beStandby",
            "description": "why", "payload": {"waitTime": "", "details": {"a": 1}}}),
        ),
    ] {
        assert_eq!(evaluate(body), Ok(expected), "{body}");
    }
    for body in [
        "dr.duration('1d')",
        "dr.after('x', 1)",
        "dr.after(dr.now(), -1)",
        "dr.verdict.nothing()",
        "dr.verdict.nothing('', 3)",
    ] {
        assert_eq!(evaluate(body).unwrap_err().kind, crate::policy::FailureKind::Runtime, "{body}");
    }
}

#[test]
fn a_failure_shows_the_call_chain_of_the_policy() {
    let failure =
        evaluate("\nlocal function deeper()\nlocal t = nil\nreturn t.x\nend\nlocal v = deeper()\nreturn v")
            .unwrap_err();
    assert_eq!(failure.line, Some(4));
    for part in ["x.lua:4:", "local 't'", "stack traceback:", "x.lua:6:"] {
        assert!(failure.message.contains(part), "{failure}");
    }
    let unknown = evaluate("os.execute('x')").unwrap_err();
    assert!(unknown.hint.unwrap().contains("sandbox"));
}
