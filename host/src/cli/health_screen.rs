//! `health` on one screen: each row answers one question of 3 a.m.

use dr_watchdog_sdk::Utc;
use serde_json::Value;

use super::screen::{Look, Page, Tone};

/// The screen.
pub(super) fn lines(health: &Value, look: Look) -> Vec<String> {
    let mut page = Page::new(look);
    head(&mut page, health);
    let is_up = health["daemon"]["up"] == true;
    if is_up {
        row(&mut page, "serves", serves(health));
        row(&mut page, "other site", peer(health));
        row(&mut page, "takeover", takeover(&health["takeover"]));
    } else {
        let known = match health["daemon"]["asOf"].as_str() {
            Some(as_of) => format!("of {as_of}; nobody watches now"),
            None => "nothing: no watchdog has stored anything here".to_owned(),
        };
        row(&mut page, "last known", (Tone::Warning, known));
    }
    row(&mut page, "mode", mode(health));
    row(&mut page, "automatic failover", automatic(&health["automaticFailover"]));
    row(&mut page, "pending change", pending(&health["pendingUpdate"]));
    row(&mut page, "exclusion", exclusion(&health["exclusion"]));
    if is_up {
        row(&mut page, "arbiters", arbiters(health));
        row(&mut page, "policy", policy(&health["policy"]));
        row(&mut page, "heartbeats", heartbeats(&health["heartbeats"]));
        row(&mut page, "mail", mail(&health["mail"]));
        decision(&mut page, &health["lastDecision"]);
    }
    services(&mut page, health);
    for problem in health["problems"].as_array().into_iter().flatten() {
        let tone = if problem["code"] == 0 { Tone::Warning } else { Tone::Bad };
        page.item("!", tone, &text(&problem["message"]));
        page.item(" →", Tone::Plain, &text(&problem["remedy"]));
    }
    page.into_lines()
}

type Said = (Tone, String);

fn row(page: &mut Page, name: &str, (tone, said): Said) {
    if !said.is_empty() {
        page.row(name, tone, &said);
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "unknown".to_owned(),
        other => other.to_string(),
    }
}

/// How long ago something was, for people.
fn ago(health: &Value, then: &Value) -> Option<String> {
    let at = |value: &Value| Utc::parse(value.as_str()?).ok();
    let s = at(&health["time"])?.unix_ms().saturating_sub(at(then)?.unix_ms()) / 1_000;
    Some(format!("{} ago", span(s.unsigned_abs())))
}

/// A span in its two largest units.
pub(super) fn span(s: u64) -> String {
    match s {
        0..60 => format!("{s} s"),
        60..3_600 => format!("{} min {} s", s / 60, s % 60),
        3_600..86_400 => format!("{} h {} min", s / 3_600, s % 3_600 / 60),
        _ => format!("{} d {} h", s / 86_400, s % 86_400 / 3_600),
    }
}

fn head(page: &mut Page, health: &Value) {
    let (tone, word) = match health["status"].as_str() {
        Some("ok") => (Tone::Good, "OK"),
        Some("warning") => (Tone::Warning, "WARNING"),
        _ => (Tone::Bad, "CRITICAL"),
    };
    let is_up = health["daemon"]["up"] == true;
    let (site, role) = (text(&health["site"]), text(&health["role"]));
    if !is_up && health["role"].is_null() {
        return page.line(tone, &format!("{word}  site {site}: nobody watches, and its role is not known"));
    }
    let verb = if is_up { "is" } else { "was" };
    let phase = health["phase"].as_str().filter(|phase| *phase != role);
    let phase = phase.map(|phase| format!(" ({phase})")).unwrap_or_default();
    let booting = if health["booting"] == true { ", booting" } else { "" };
    page.line(
        tone,
        &format!("{word}  site {site} {verb} {role}{phase}, epoch {}{booting}", text(&health["epoch"])),
    );
}

fn serves(health: &Value) -> Said {
    let (site, other) = (text(&health["site"]), text(&health["peer"]["name"]));
    let here = health["serving"] == true;
    let there = health["peer"]["role"] == "active";
    match (here, there) {
        (true, false) => (Tone::Good, format!("{site} (this site)")),
        (false, true) => (Tone::Good, format!("{other} (the other site)")),
        (true, true) => (Tone::Bad, "both sites say they serve".to_owned()),
        (false, false) if health["peer"]["role"].is_null() => {
            (Tone::Bad, format!("not {site}; of {other} nothing is known"))
        }
        (false, false) => (Tone::Bad, "nobody".to_owned()),
    }
}

fn peer(health: &Value) -> Said {
    let peer = &health["peer"];
    let is_reachable = peer["reachable"] == true;
    let reachable = match (is_reachable, peer["localFailover"] == true) {
        (true, true) => "reachable by a node while its VIP moves",
        (true, false) => "reachable",
        (false, _) => "does not answer",
    };
    let heard = match ago(health, &peer["lastHeard"]) {
        Some(ago) => format!("{}, epoch {}, heard {ago}", text(&peer["role"]), text(&peer["epoch"])),
        None => "never heard".to_owned(),
    };
    let settings = if peer["configEqual"] == false { "; its settings differ" } else { "" };
    let tone = if is_reachable && settings.is_empty() { Tone::Plain } else { Tone::Warning };
    (tone, format!("{} {reachable}; {heard}{settings}", text(&peer["name"])))
}

fn takeover(takeover: &Value) -> Said {
    let steps = match takeover["stepsS"].as_f64() {
        Some(s) => format!("; its steps took {s:.1} s the last time"),
        None => String::new(),
    };
    let within = format!("within {} s after the active is lost{steps}", text(&takeover["withinS"]));
    if takeover["possible"] == true {
        (Tone::Good, format!("possible, {within}"))
    } else {
        (Tone::Warning, format!("not now: {} (else {within})", text(&takeover["why"])))
    }
}

/// The mode is only worth a row where it is not the usual one.
fn mode(health: &Value) -> Said {
    if health["mode"] != "observe" {
        return (Tone::Plain, String::new());
    }
    let seen = health["observed"]["text"].as_str().unwrap_or("no takeover would have been yet");
    (Tone::Warning, format!("observe, so no verdict changes a role; {seen}"))
}

fn automatic(automatic: &Value) -> Said {
    // What lost arbiters switch off is this site's alone.
    let is_own = automatic["by"] == "dr-watchdog";
    let (agreed, tone) = match automatic["agreed"].as_bool() {
        Some(true) if is_own => ("", Tone::Plain),
        Some(true) => (", at both sites", Tone::Plain),
        Some(false) => ("; PENDING: the other site has not agreed yet", Tone::Warning),
        None => ("", Tone::Plain),
    };
    match &automatic["enabled"] {
        Value::Bool(true) => (tone, format!("enabled{agreed}")),
        Value::Bool(false) => {
            let until = automatic["until"].as_str().unwrap_or("it is enabled");
            let (by, reason) = (text(&automatic["by"]), text(&automatic["reason"]));
            (Tone::Warning, format!("disabled until {until} by {by}: {reason}{agreed}"))
        }
        _ => (Tone::Plain, "unknown".to_owned()),
    }
}

fn pending(pending: &Value) -> Said {
    if pending.is_null() {
        return (Tone::Plain, String::new());
    }
    let keys: Vec<&str> =
        pending["keys"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let (by, since) = (text(&pending["by"]), text(&pending["since"]));
    let refused = pending["refused"].as_str().map(|why| format!("; refused: {why}")).unwrap_or_default();
    (Tone::Warning, format!("{} by {by} since {since}, not at the other site yet{refused}", keys.join(", ")))
}

fn exclusion(exclusion: &Value) -> Said {
    let mut said = format!("{}: {}", text(&exclusion["mode"]), text(&exclusion["promise"]));
    if let Some(left) = exclusion["leaseLeftS"].as_f64() {
        said += &format!("; the lease lasts {left:.0} s more, guard {}", text(&exclusion["guard"]));
    }
    (Tone::Plain, said)
}

fn arbiters(health: &Value) -> Said {
    let arbiters = &health["arbiters"];
    let said = format!(
        "{} of {} answer ping, {} managed",
        text(&arbiters["reachable"]),
        text(&arbiters["total"]),
        text(&arbiters["managed"])
    );
    let tone = if arbiters["reachable"] == arbiters["total"] { Tone::Plain } else { Tone::Warning };
    (tone, said)
}

fn policy(policy: &Value) -> Said {
    let [name, engine, state] = ["name", "engine", "state"].map(|key| text(&policy[key]));
    let tone = if state == "running" { Tone::Plain } else { Tone::Warning };
    (tone, format!("{name} ({engine}), {state}"))
}

fn heartbeats(heartbeats: &Value) -> Said {
    (Tone::Plain, heartbeats["advice"].as_str().unwrap_or_default().to_owned())
}

fn mail(mail: &Value) -> Said {
    if mail.is_null() {
        return (Tone::Plain, "nobody is mailed".to_owned());
    }
    let last = match mail["lastDelivered"].as_str() {
        Some(at) => format!("last delivered {at}"),
        None => "none delivered since the watchdog runs".to_owned(),
    };
    let recipients = mail["recipients"].as_array().map_or(0, Vec::len);
    let tone = if mail["trouble"].is_null() { Tone::Plain } else { Tone::Warning };
    (
        tone,
        format!(
            "{} to {recipients} recipients, {} wait; {last}",
            text(&mail["server"]),
            text(&mail["waiting"])
        ),
    )
}

fn decision(page: &mut Page, last: &Value) {
    if !last.is_object() {
        return;
    }
    let said = format!("{} {}: {}", text(&last["id"]), text(&last["action"]), text(&last["description"]));
    page.row("last decision", Tone::Plain, &said);
    page.row("", Tone::Plain, &format!("{} ({})", text(&last["outcome"]), text(&last["time"])));
    if let Some(flip) = last["flip"].as_str().filter(|flip| !flip.is_empty()) {
        page.row("", Tone::Faint, &format!("other verdict if {flip}"));
    }
}

/// Healthy services share a row; each other one has its own.
fn services(page: &mut Page, health: &Value) {
    let services = health["services"].as_object();
    let (good, bad): (Vec<_>, Vec<_>) =
        services.into_iter().flatten().partition(|(_, service)| service["state"] != false);
    for (name, service) in bad {
        let since = ago(health, &service["since"]).map(|ago| format!(", since {ago}")).unwrap_or_default();
        let said = format!("{name} {}{since}: {}", text(&service["code"]), text(&service["description"]));
        page.row("service", Tone::Warning, &said);
    }
    let mut names = Vec::new();
    for (name, service) in good {
        let since = ago(health, &service["since"]).map(|ago| format!(" (0, since {ago})"));
        names.push(format!("{name}{}", since.unwrap_or_else(|| " (0)".to_owned())));
    }
    if !names.is_empty() {
        page.row("services", Tone::Plain, &names.join(", "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sample() -> Value {
        json!({
            "status": "ok", "time": "2026-01-01T00:01:40+00:00",
            "daemon": {"up": true}, "site": "a", "role": "active", "phase": "active", "serving": true, "epoch": 4,
            "booting": false,
            "peer": {"name": "b", "reachable": true, "localFailover": false, "role": "standby", "epoch": 4,
                "lastHeard": "2026-01-01T00:01:38+00:00", "configEqual": true},
            "takeover": {"possible": true, "why": "", "withinS": 110, "stepsS": 3.25},
            "automaticFailover": {"enabled": false, "until": null, "reason": "work", "by": "root", "agreed": false},
            "exclusion": {"mode": "verdict", "promise": "no bound"},
            "arbiters": {"total": 3, "reachable": 3, "managed": 3},
            "policy": {"name": "arbitration", "engine": "native", "state": "running"},
            "mail": null,
            "services": {"heartbeat": {"state": true, "code": 0, "description": "", "since": "2026-01-01T00:00:00+00:00"},
                "pgsqlMonitor": {"state": false, "code": 1098, "description": "crashed", "since": null}},
            "lastDecision": {"id": 7, "action": "nothing", "description": "2 of 3 managed", "outcome": "stays",
                "time": "2026-01-01T00:01:00+00:00", "flip": "one more free arbiter"},
            "problems": [{"code": 1, "message": "trouble", "remedy": "do this"}],
        })
    }

    fn shown(health: &Value, columns: Option<usize>, is_utf8: bool) -> Vec<String> {
        let lines = lines(health, Look { columns, rows: None, is_utf8 });
        lines.iter().map(|line| anstream::adapter::strip_str(line).to_string()).collect()
    }

    #[test]
    fn one_screen_answers_every_question() {
        let text = shown(&sample(), None, true).join("\n");
        for part in [
            "OK  site a is active, epoch 4",
            "a (this site)",
            "b reachable; standby, epoch 4, heard 2 s ago",
            "possible, within 110 s after the active is lost; its steps took 3.2 s the last time",
            "disabled until it is enabled by root: work; PENDING: the other site has not agreed yet",
            "3 of 3 answer ping, 3 managed",
            "arbitration (native), running",
            "7 nothing: 2 of 3 managed",
            "other verdict if one more free arbiter",
            "pgsqlMonitor 1098: crashed",
            "heartbeat (0, since 1 min 40 s ago)",
            "! trouble",
            "→ do this",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        assert!(shown(&sample(), Some(80), true).len() <= 24, "it fits the smallest terminal");
    }

    #[test]
    fn it_is_readable_at_40_columns_and_in_ascii() {
        let lines = shown(&sample(), Some(40), false);
        assert!(lines.iter().all(|line| line.is_ascii() && line.len() <= 40), "{lines:#?}");
        assert!(lines.join(" ").contains("-> do this"));
    }

    #[test]
    fn a_stopped_daemon_is_told_with_the_instant_of_what_is_known() {
        let mut health = sample();
        health["status"] = json!("critical");
        health["daemon"] = json!({"up": false, "asOf": "2026-01-01T00:00:00+00:00"});
        let text = shown(&health, None, true).join("\n");
        assert!(
            text.contains("CRITICAL  site a was active") && text.contains("of 2026-01-01T00:00:00+00:00"),
            "{text}"
        );
        assert!(!text.contains("answer ping"), "{text}");
    }

    #[test]
    fn where_nothing_is_stored_no_role_is_made_up() {
        let mut health = sample();
        health["status"] = json!("critical");
        health["daemon"] = json!({"up": false, "asOf": null});
        health["role"] = Value::Null;
        let text = shown(&health, None, true).join("\n");
        assert!(text.contains("site a: nobody watches, and its role is not known"), "{text}");
        assert!(text.contains("nothing: no watchdog has stored anything here"), "{text}");
    }

    #[test]
    fn spans_are_told_in_two_units() {
        assert_eq!([5, 65, 3_720, 90_000].map(span), ["5 s", "1 min 5 s", "1 h 2 min", "1 d 1 h"]);
    }
}
