//! `policy eval --at`: a past decision is asked again, with the answers and the clock it had.

use std::time::Duration;

use dr_watchdog_tests::lab::Lone;
use dr_watchdog_tests::program::{Run, command, run};
use serde_json::Value;

/// Everything that could differ the second time: the clock, chance, memory, the network, the configuration.
const POLICY: &str = "return { evaluate = function(ctx)
  local seen = dr.state.get() or { n = 0 }
  dr.state.put({ n = seen.n + 1 })
  local first, second = dr.tcp('127.0.0.1:1', { timeoutMs = 200 }), dr.ping({ '127.0.0.1' }, { timeoutMs = 500 })
  local words = { dr.now(), math.random(1000000), seen.n, tostring(first.why), tostring(second['127.0.0.1'].rttMs),
    tostring(second['127.0.0.1'].ping), dr.policy.config.word, dr.arbiters.sessions().time, tostring(ctx.previous ~= nil) }
  return dr.verdict.nothing(table.concat(words, ' '))
end }\n";

fn at(lone: &Lone, policy: &str, id: &Value, more: &[&str]) -> Run {
    let mut command = command(["--root"]);
    command.arg(lone.site.root()).args(["policy", "eval"]).arg(lone.scratch.join(policy));
    run(command.args(["--at", &id.to_string()]).args(more)).is_orderly()
}

/// Goal: what was decided is decided again, whatever the clock, chance or the network say by now. Wrong would be: the
/// same policy differs from itself, or another one is compared with nothing.
#[test]
fn a_policy_asked_again_about_a_past_decision_gives_the_same_verdict_and_another_one_shows_the_difference() {
    let mut lone = Lone::new(|_, recipe| {
        recipe.policy = None;
        recipe.more.push_str("\n[policy.config]\nword = \"configured\"\n");
    });
    let policy = lone.scratch.write("past.lua", POLICY);
    let detection = "[watchdog.failureDetection]\n";
    let configuration = std::fs::read_to_string(&lone.site.paths().config_file).unwrap();
    let own = format!("{detection}isCustom = true\nscript = \"{}\"\n", policy.display());
    lone.site.configure(&configuration.replacen(detection, &own, 1));
    lone.site.start();
    let decisions = lone.site.wait_decisions(0, 3, Duration::from_secs(60));
    assert!(lone.site.stop().success(), "{}", lone.site.log());
    for decision in &decisions {
        assert_eq!(decision["error"], Value::Null, "{decision}");
        let answer = at(&lone, "past.lua", &decision["id"], &["--json"]).expect(0).json();
        assert_eq!(answer["at"]["differences"], serde_json::json!([]), "{answer}\n{decision}");
        for key in ["state", "action", "description"] {
            assert_eq!(answer["verdict"][key], decision["verdict"][key], "{answer}");
        }
        assert_eq!(answer["at"]["notAskedThen"], serde_json::json!([]), "{answer}");
    }
    let id = &decisions[2]["id"];
    at(&lone, "past.lua", id, &[]).expect(0).says(&["by past.lua (lua)", "compared: the same verdict"]);

    lone.scratch.write(
        "other.lua",
        "return { evaluate = function() dr.tcp('192.0.2.77:1') return dr.verdict.wait('2030-01-01T00:00:00+00:00', 'x') end }",
    );
    at(&lone, "other.lua", id, &[]).expect(0).says(&[
        "differs:  action: then \"nothing\", now \"wait\"",
        "differs:  payload.waitTime: then \"\", now \"2030-01-01T00:00:00+00:00\"",
        "tcp 192.0.2.77:1: not asked at that decision",
    ]);
    let script = "#!/bin/sh\nprintf '{\"state\":\"standby\",\"action\":\"nothing\",\"description\":\"%s\",\"payload\":{\"waitTime\":\"\"}}\\n' \
                  \"$(dr-watchdog ping --text 127.0.0.1)\"\n";
    lone.scratch.executable("again.sh", script);
    let again = at(&lone, "again.sh", id, &["--json"]).expect(0).json();
    assert!(again["verdict"]["description"].as_str().unwrap().contains("127.0.0.1 ping true"), "{again}");

    at(&lone, "past.lua", &999_999.into(), &[])
        .expect(2)
        .says(&["no record 999999", "history --kind decision"]);
    let notice = lone.site.history().into_iter().find(|record| record["kind"] != "decision").unwrap();
    at(&lone, "past.lua", &notice["id"], &[]).expect(2).says(&["no decision"]);
}
