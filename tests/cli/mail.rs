//! Mail through the built program: real servers, servers that misbehave, kill -9 on the way.

use std::collections::BTreeSet;
use std::time::Duration;

use dr_watchdog::cli::client;
use dr_watchdog_tests::lab::mail::{Kept, MAIL_ADDRESS, MAIL_LOG_IN, MAIL_PORT, all_kept, certificate};
use dr_watchdog_tests::lab::network::SITE_B;
use dr_watchdog_tests::lab::{Ledger, Lone, MailServer, Recipe};
use dr_watchdog_tests::program::{Run, run, twin};
use dr_watchdog_tests::wait;
use serde_json::json;

/// Longest wait for a mail: some tries with their pauses.
const MAIL_LIMIT: Duration = Duration::from_secs(60);

/// Alarms of a bad minute.
const ALARMS: usize = 2_000;
/// Kills of one test of deliveries.
const KILLS: usize = 6;

/// A site that mails to two people, with these lines in `[smtp]`.
fn lone(smtp: impl Fn(&Ledger) -> String) -> Lone {
    Lone::new(|ledger, recipe| mailing(recipe, &smtp(ledger)))
}

fn mailing(recipe: &mut Recipe, smtp: &str) {
    recipe.more += &tables(smtp);
}

/// The same for a site that is laid out already.
fn append(lone: &Lone, smtp: &str) {
    let written = std::fs::read_to_string(&lone.site.paths().config_file).unwrap();
    lone.site.configure(&(written + &tables(smtp)));
}

fn tables(smtp: &str) -> String {
    format!(
        "\n[watchdog.notification]\nemail = \"a@example.com, b@example.com\"\ninterval = \"1h\"\n\
         [smtp]\nhost = \"{MAIL_ADDRESS}\"\nport = {MAIL_PORT}\nfrom = \"watchdog@example.com\"\ntimeout = \"2s\"\n{smtp}\n"
    )
}

fn in_clear() -> Lone {
    lone(|_| "tls = \"none\"".to_owned())
}

fn on(lone: &Lone, arguments: &[&str]) -> Run {
    let mut command = lone.namespace.command(&twin());
    run(command.arg("--root").arg(lone.site.root()).args(arguments)).is_orderly()
}

fn kinds(kept: &[Kept]) -> Vec<&str> {
    kept.iter().map(|mail| mail.kind.as_str()).collect()
}

fn count(kept: &[Kept], kind: &str) -> usize {
    kinds(kept).iter().filter(|found| **found == kind).count()
}

/// Waits for the first mail of this kind.
fn wait_kept(lone: &Lone, kind: &str) -> Kept {
    let found = wait::poll(MAIL_LIMIT, || {
        let kept = all_kept(&lone.scratch);
        let found = kept.iter().find(|mail| mail.kind == kind).cloned();
        found.ok_or_else(|| format!("no mail {kind} among {:?}", kinds(&kept)))
    });
    found.unwrap_or_else(|why| panic!("{why}\n{}", lone.site.dump()))
}

fn wait_empty_queue(lone: &mut Lone) {
    lone.site.wait("no mail waits", MAIL_LIMIT, |site| {
        let mail = site.try_health()?["mail"].clone();
        wait::holds(mail["waiting"] == 0, || mail.to_string())
    });
}

#[test]
fn a_real_server_takes_a_mail_under_every_protection_and_log_in() {
    for tls in ["none", "starttls", "implicit"] {
        for wants_log_in in [false, true] {
            let lone = Lone::new(|_, _| {});
            let (ca, _) = certificate(&lone.scratch);
            let log_in = if wants_log_in {
                format!("username = \"{}\"\npassword = \"{}\"\n", MAIL_LOG_IN.0, MAIL_LOG_IN.1)
            } else {
                String::new()
            };
            append(
                &lone,
                &format!(
                    "tls = \"{tls}\"
caFile = \"{}\"
{log_in}",
                    ca.display()
                ),
            );
            let server = MailServer::real(&lone.scratch, &lone.namespace, tls, wants_log_in);
            on(&lone, &["notify", "test"]).expect(0).says(&["a@example.com", "b@example.com"]);
            let kept = server.kept();
            assert_eq!(kept.len(), 1, "{tls} {wants_log_in}: {kept:?}");
            assert_eq!(kept[0].recipients, ["a@example.com", "b@example.com"]);
            assert!(kept[0].text.contains("Auto-Submitted: auto-generated"), "{}", kept[0].text);
        }
    }
}

#[test]
fn what_a_person_must_mend_is_named() {
    let lone =
        lone(|_| format!("tls = \"starttls\"\nusername = \"{}\"\npassword = \"wrong\"", MAIL_LOG_IN.0));
    on(&lone, &["notify", "test"]).expect(1).says(&["127.0.0.1 port 2525", "refused"]);
    let server = MailServer::real(&lone.scratch, &lone.namespace, "starttls", true);
    on(&lone, &["notify", "test"]).expect(1).says(&["UnknownIssuer", "smtp.caFile"]);
    drop(server);
    let server = MailServer::real(&lone.scratch, &lone.namespace, "none", false);
    on(&lone, &["notify", "test"]).expect(1).says(&["STARTTLS", "in the clear"]);
    drop(server);
    let _server = MailServer::outdated(&lone.scratch, &lone.namespace);
    let written = std::fs::read_to_string(&lone.site.paths().config_file).unwrap();
    lone.site.configure(&written.replace("tls = \"starttls\"", "tls = \"implicit\""));
    on(&lone, &["notify", "test"]).expect(1).says(&["TLS 1.2"]);
    let failed = on(&lone, &["notify", "test", "--json"]).expect(1).json();
    assert!(failed["error"].is_string() && failed["ok"] == false, "{failed}");
    on(&lone, &["notify", "test", "--kind", "becomeActive"]).expect(2).says(&["becameActive"]);
}

#[test]
fn a_wrong_password_is_told_as_such() {
    let lone = lone(|_| format!("tls = \"none\"\nusername = \"{}\"\npassword = \"wrong\"", MAIL_LOG_IN.0));
    let _server = MailServer::real(&lone.scratch, &lone.namespace, "none", true);
    on(&lone, &["notify", "test"]).expect(1).says(&["log-in", "535"]);
}

#[test]
fn every_kind_of_mail_reaches_the_server_once() {
    let lone = in_clear();
    let server = MailServer::real(&lone.scratch, &lone.namespace, "none", false);
    let sent = on(&lone, &["notify", "test", "--kind", "all", "--json"]).expect(0);
    let kept = server.kept();
    assert_eq!(kept.len(), sent.stdout.lines().count());
    for kind in [
        "automaticFailoverDisabled",
        "arbitersBelowWarning",
        "becameStandby",
        "becameActive",
        "peerLogInFailed",
        "arbitersNotManaged",
        "settingsDiffer",
    ] {
        assert_eq!(count(&kept, kind), 1, "{kind}");
    }
    let ids: BTreeSet<&str> = kept.iter().map(|mail| mail.id.as_str()).collect();
    assert_eq!(ids.len(), kept.len(), "each has an identity of its own");
}

#[test]
fn a_site_mails_each_trouble_once_its_end_and_every_change_of_role() {
    let mut lone = in_clear();
    let server = MailServer::real(&lone.scratch, &lone.namespace, "none", false);
    lone.site.start();
    wait_kept(&lone, "peerLost");
    lone.tell("beActive");
    lone.site.wait_standing("active/active", MAIL_LIMIT);
    let active = wait_kept(&lone, "becameActive");
    assert_eq!(active.recipients, ["a@example.com", "b@example.com"]);
    for part in ["What happened:", "What dr-watchdog did:", "What you may do:", "How to see more:"] {
        assert!(active.text.contains(part), "{part}: {}", active.text);
    }
    lone.tell("beStandby");
    lone.site.wait_standing("standby/standby", MAIL_LIMIT);
    wait_kept(&lone, "becameStandby");
    lone.tell("nonsense");
    wait_kept(&lone, "policyFailed");
    lone.tell("nothing");
    let ended = |kept: &[Kept], kind: &str| count(kept, kind) == 2;
    wait::poll(MAIL_LIMIT, || wait::holds(ended(&server.kept(), "policyFailed"), || "no end".to_owned()))
        .unwrap();
    // Its address appears here, so its ping is answered: the other site is back.
    lone.namespace.ip(&format!("addr add {SITE_B}/32 dev lo"));
    wait::poll(MAIL_LIMIT, || wait::holds(ended(&server.kept(), "peerLost"), || lone.site.dump())).unwrap();
    wait_empty_queue(&mut lone);
    let kept = server.kept();
    for (kind, mails) in [("peerLost", 2), ("policyFailed", 2), ("becameActive", 1), ("becameStandby", 1)] {
        assert_eq!(count(&kept, kind), mails, "{kind}: {:?}", kinds(&kept));
    }
}

/// Goal: what the watchdog itself meets is mailed, once. Method: a gate that is shut, a step that fails, a state that was
/// damaged. Wrong would be: one of them is only in the log.
#[test]
fn a_closed_gate_a_failed_step_and_a_damaged_state_are_mailed_once() {
    let mut lone = Lone::new(|_, recipe| {
        mailing(recipe, "tls = \"none\"");
        recipe.be_active = vec![("serve".to_owned(), "[\"/bin/false\"]".to_owned(), true)];
        recipe.be_standby = vec![("stop".to_owned(), "[\"/bin/true\"]".to_owned(), true)];
    });
    let server = MailServer::real(&lone.scratch, &lone.namespace, "none", false);
    lone.site.start();
    on(&lone, &["toolkit", "watchdog", "status", "--disable-automatic-failover", "0"]).expect(0);
    lone.tell("beActive");
    wait_kept(&lone, "automaticFailoverDisabled");
    wait_kept(&lone, "gateClosed");
    on(&lone, &["toolkit", "watchdog", "status", "--enable-automatic-failover"]).expect(0);
    let failed = wait_kept(&lone, "stepFailed");
    assert!(failed.text.contains("serve"), "{}", failed.text);
    lone.tell("nothing");
    lone.site.kill_9();
    std::fs::write(&lone.site.paths().state_file, "{").unwrap();
    lone.site.start();
    wait_kept(&lone, "stateUnusable");
    wait_empty_queue(&mut lone);
    let kept = server.kept();
    for kind in ["gateClosed", "stepFailed", "stateUnusable"] {
        // An alarm, and where it has one the mail that ends it.
        assert!((1..=2).contains(&count(&kept, kind)), "{kind}: {:?}", kinds(&kept));
    }
}

#[test]
fn mail_that_waits_survives_kill_9_and_arrives_once() {
    let mut lone = in_clear();
    lone.site.start();
    lone.tell("beActive");
    lone.site.wait_standing("active/active", MAIL_LIMIT);
    lone.site.wait("the mail is queued", MAIL_LIMIT, |site| {
        let waiting = site.try_health()?["mail"]["waiting"].as_u64().unwrap();
        wait::holds(waiting >= 2, || format!("{waiting} wait"))
    });
    lone.site.kill_9();
    let listed = on(&lone, &["notify", "queue", "--json"]).expect(0).json();
    assert!(listed["mails"].to_string().contains("becameActive"), "{listed}");
    lone.tell("nothing");
    lone.site.start();
    let server = MailServer::real(&lone.scratch, &lone.namespace, "none", false);
    wait_kept(&lone, "becameActive");
    wait_empty_queue(&mut lone);
    let kept = server.kept();
    assert_eq!((count(&kept, "becameActive"), count(&kept, "peerLost")), (1, 1), "{:?}", kinds(&kept));
}

#[test]
fn each_kill_9_at_any_point_of_a_delivery_loses_no_mail_and_doubles_at_most_one() {
    let mut lone = in_clear();
    let server = MailServer::real(&lone.scratch, &lone.namespace, "none", false);
    // After each start the site is standby, which is mailed if it was active, and becomes active, which is mailed.
    lone.tell("beActive");
    for round in 0..KILLS {
        lone.site.start();
        let mails = server.kept().len();
        // Killed as soon as a further mail has arrived: some of its queue is delivered, some is not, and the file of
        // the newest may or may not be gone.
        wait::poll(MAIL_LIMIT, || {
            wait::holds(server.kept().len() > mails, || format!("round {round}: no mail"))
        })
        .unwrap_or_else(|why| panic!("{why}\n{}", lone.site.dump()));
        lone.site.kill_9();
    }
    lone.tell("nothing");
    lone.site.start();
    wait_empty_queue(&mut lone);
    let kept = server.kept();
    // One mail is on its way at a time: a kill leaves at most that one in doubt, and it is sent again.
    let ids: BTreeSet<&str> = kept.iter().map(|mail| mail.id.as_str()).collect();
    let doubles = kept.len() - ids.len();
    assert!(doubles <= KILLS, "{doubles} doubles after {KILLS} kills: {:?}", kinds(&kept));
    let told: Vec<&str> =
        kept.iter().map(|mail| mail.kind.as_str()).filter(|kind| kind.starts_with("became")).collect();
    let transitions = lone.site.history();
    let became = |to: &str| transitions.iter().any(|record| record["to"] == to);
    assert!(!became("active") || told.contains(&"becameActive"), "{told:?}");
    assert!(!became("standby") || told.contains(&"becameStandby"), "{told:?}");
}

#[test]
fn a_greylisting_server_and_one_that_dies_half_way_get_the_mail_at_the_second_try() {
    for fault in ["greylists", "dies"] {
        let mut lone = in_clear();
        let server = MailServer::hostile(&lone.scratch, &lone.namespace, fault);
        lone.site.start();
        wait_kept(&lone, "peerLost");
        wait_empty_queue(&mut lone);
        assert_eq!(count(&server.kept(), "peerLost"), 1, "{fault}");
    }
}

#[test]
fn a_server_that_hangs_after_the_mail_is_not_given_it_over_and_over() {
    let mut lone = in_clear();
    let server = MailServer::hostile(&lone.scratch, &lone.namespace, "hangs");
    lone.site.start();
    wait_kept(&lone, "peerLost");
    lone.site.wait("the doubt is told", MAIL_LIMIT, |site| {
        let mail = site.try_health()?["mail"].clone();
        let is_told = mail["trouble"].as_str().is_some_and(|why| why.contains("may have kept"));
        wait::holds(is_told, || mail.to_string())
    });
    assert_eq!(count(&server.kept(), "peerLost"), 1);
    // Another mail is not held up by the one in doubt.
    lone.tell("beActive");
    wait_kept(&lone, "becameActive");
    assert_eq!(count(&server.kept(), "peerLost"), 1);
}

#[test]
fn a_server_that_refuses_or_floods_costs_a_warning_and_nothing_else() {
    for (fault, word) in [("refuses", "554"), ("floods", "more than")] {
        let mut lone = in_clear();
        let _server = MailServer::hostile(&lone.scratch, &lone.namespace, fault);
        lone.site.start();
        lone.site.wait("health says that mail waits", MAIL_LIMIT, |site| {
            let health = site.try_health()?;
            let problems = health["problems"].to_string();
            let is_told = problems.contains("mails wait") && problems.contains(word);
            wait::holds(is_told, || format!("{problems}\n{}", health["mail"]))
        });
    }
}

#[test]
fn one_recipient_who_does_not_exist_costs_the_others_nothing() {
    let lone = Lone::new(|_, recipe| {
        mailing(recipe, "tls = \"none\"");
        recipe.more = recipe.more.replace("a@example.com, b", "nobody@example.com, b");
    });
    let server = MailServer::hostile(&lone.scratch, &lone.namespace, "refuses-one");
    let answers = on(&lone, &["notify", "test", "--json"]).expect(1).json();
    assert_eq!(answers["recipients"][0]["ok"], false, "{answers}");
    assert_eq!(answers["recipients"][1]["ok"], true, "{answers}");
    assert_eq!(server.kept()[0].recipients, ["b@example.com"]);
}

#[test]
fn thousands_of_alarms_are_a_handful_of_mails() {
    let mut lone = in_clear();
    let server = MailServer::real(&lone.scratch, &lone.namespace, "none", false);
    lone.site.start();
    let socket = &lone.site.paths().socket;
    // A switch that is turned off and on is a trouble that comes and goes.
    for number in 0..ALARMS / 2 {
        let off = json!({"disable": {"seconds": null, "reason": number.to_string(), "by": "a test"}});
        client::ask(socket, "automaticFailover", off).unwrap();
        client::ask(socket, "automaticFailover", json!({"enable": true})).unwrap();
    }
    wait_empty_queue(&mut lone);
    let mails = count(&server.kept(), "automaticFailoverDisabled");
    assert!((2..=6).contains(&mails), "three episodes with their ends, not {mails}");
    let told =
        lone.site.history().iter().filter(|record| record["trigger"] == "automaticFailoverDisabled").count();
    assert_eq!(told, ALARMS / 2, "the history has them all");
}
