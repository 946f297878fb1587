//! `simulate --replay`: the journal of a real watchdog against the decision of the program.

use std::fs;
use std::time::Duration;

use dr_watchdog_tests::lab::Lone;
use dr_watchdog_tests::program::{Run, command, run};
use dr_watchdog_tests::wait::holds;

fn replay(file: &std::path::Path) -> Run {
    run(command(["simulate", "--json", "--replay"]).arg(file)).is_orderly()
}

/// Goal: a watchdog that was killed leaves a journal of which every effect comes out again. Wrong would be: a journal
/// that cannot be read after a kill, one of another course that passes, or one that is no journal and passes.
#[test]
fn a_watchdog_that_was_killed_is_played_again_and_a_changed_journal_is_noticed() {
    let mut lone = Lone::new(|_, _| {});
    lone.site.start();
    let file = lone.site.root().join("var/lib/dr-watchdog/journal.jsonl");
    lone.site.wait("the journal has a round of heartbeats", Duration::from_secs(30), |_| {
        let text = fs::read_to_string(&file).map_err(|error| error.to_string())?;
        holds(text.matches("PeerPingEnded").count() > 1, || text)
    });
    lone.site.kill_9();
    let replayed = replay(&file).expect(0).json();
    assert_eq!((&replayed["ok"], &replayed["difference"]), (&true.into(), &serde_json::Value::Null));
    assert!(replayed["events"].as_u64().unwrap() > 3, "{replayed}");

    let text = fs::read_to_string(&file).unwrap();
    let changed = lone.scratch.join("changed.jsonl");
    fs::write(&changed, text.replacen("targets: Vip", "targets: Nodes", 1)).unwrap();
    let noticed = replay(&changed).expect(1).json();
    assert!(noticed["difference"].as_str().unwrap().contains("targets: Nodes"), "{noticed}");

    fs::write(&changed, &text[..text.len() - 9]).unwrap();
    assert_eq!(replay(&changed).expect(0).json()["cut"], true);
    fs::write(&changed, text.lines().skip(1).collect::<Vec<_>>().join("\n")).unwrap();
    replay(&changed).expect(2).says(&["begins with"]);
    replay(&lone.scratch.join("none.jsonl")).expect(2).says(&["none.jsonl"]);
}
