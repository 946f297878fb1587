//! The two halves of `init` meet: what they share, and what one sends the other over SSH.

use std::io::Read as _;

use serde_json::{Value, json};

use super::answers::Answers;
use super::files::{self, Made, Plan};
use super::secrets::Shared;
use super::text::Half;
use super::{
    Args, Failed, INPUT_BYTES_MAX, THERE_LIMIT, failed, port, questions, refuse_if_there, source, tell, write,
};
use crate::cli::pair::site::There;
use crate::cli::{Globals, made, service};
use crate::paths::Paths;
use crate::probe::ssh::Adapter;

/// What `--shared` says: the pair's id and key, where there is one.
pub(super) fn told_shared(paths: &Paths) -> Value {
    let is_running = service::running(paths).ok().flatten().is_some();
    json!({"shared": known(paths), "running": is_running})
}

/// What this site shares with another one already.
fn known(paths: &Paths) -> Option<Shared> {
    let folder = made::folder(&paths.config_file);
    let read =
        |name: &str| std::fs::read_to_string(folder.join(name)).ok().map(|text| text.trim().to_owned());
    let replication: toml_edit::DocumentMut = read(made::REPLICATION)?.parse().ok()?;
    let password = |table: &str, key: &str| Some(replication.get(table)?.get(key)?.as_str()?.to_owned());
    Some(Shared {
        cluster_id: read(made::CLUSTER_ID)?,
        heartbeat_key: read(made::HEARTBEAT_KEY)?,
        passwords: [
            password("mysql", "replicationPassword")?,
            password("mysql", "monitorPassword")?,
            password("pgsql", "replicationPassword")?,
            password("pgsql", "monitorPassword")?,
        ],
    })
}

/// A pair has one id: this site's, else the other site's, else a new one.
pub(super) fn shared(paths: &Paths, there: Option<&There>) -> Result<Shared, String> {
    let own = known(paths);
    let Some(there) = there else { return own.map_or_else(Shared::new, Ok) };
    let ran = there.run(&["init", "--shared", "--json"], b"", THERE_LIMIT)?;
    let said: Value = serde_json::from_str(ran.stdout.lines().last().unwrap_or_default())
        .map_err(|_| crate::cli::pair::site::no_program(&ran))?;
    if said["running"] == true {
        return Err("a watchdog runs at the other site; run `stop` there first".to_owned());
    }
    let other: Option<Shared> = serde_json::from_value(said["shared"].clone()).unwrap_or_default();
    match (own, other) {
        (Some(own), Some(other)) if own.cluster_id != other.cluster_id => Err(format!(
            "both sites belong to a pair already, and not to the same one ({} here, {} there); `reset` the one that is to join",
            own.cluster_id, other.cluster_id
        )),
        (Some(own), _) => Ok(own),
        (None, Some(other)) => Ok(other),
        (None, None) => Shared::new(),
    }
}

/// The host key of this site, as the other one will see it.
pub(super) fn own_host_key(answers: &Answers) -> Option<String> {
    let shown =
        crate::cli::arbiters::shown_by(&answers["site.vip"], port(answers), source(answers), Adapter::Russh);
    shown.ok().map(|shown| shown.fingerprint)
}

/// Sends the other half to the other site.
pub(super) fn configure(args: &Args, there: &There, plan: &Plan) -> Result<Made, String> {
    let own_key = own_host_key(&plan.answers).unwrap_or_default();
    let half = match plan.half {
        Half::Active => Half::Standby,
        Half::Standby => Half::Active,
    };
    let mirrored = Plan { half, answers: questions::mirrored(&plan.answers, &own_key), ..plan.clone() };
    let input = serde_json::to_vec(&mirrored).map_err(|error| error.to_string())?;
    let mut words = vec!["init", "--joined", "--json"];
    if args.replace {
        words.push("--replace");
    }
    let ran = there.run(&words, &input, THERE_LIMIT)?;
    let said: Value = serde_json::from_str(ran.stdout.lines().last().unwrap_or_default()).unwrap_or_default();
    if ran.status != 0 {
        let why = said["error"].as_str().map_or_else(|| ran.stderr.trim().to_owned(), str::to_owned);
        return Err(format!("nothing was changed here, because the other site was not configured: {why}"));
    }
    tell(args, &format!("site {} is configured", plan.answers["peer.name"]));
    serde_json::from_value(said["made"].clone())
        .map_err(|error| format!("the other site's answer is not understood: {error}"))
}

/// The other site takes this one's certificate.
pub(super) fn trust(there: &There, made: &Made) -> Result<(), String> {
    let input =
        serde_json::to_vec(&json!({"certificate": made.certificate})).map_err(|error| error.to_string())?;
    let ran = there.run(&["init", "--joined", "--json"], &input, THERE_LIMIT)?;
    if ran.status == 0 {
        return Ok(());
    }
    Err(format!(
        "both sites are configured, but the other one did not take the certificate ({}); run `init --replace` again",
        ran.stderr.trim()
    ))
}

/// This site's half, sent by the other one; then that one's certificate.
pub(super) fn join(globals: &Globals, args: &Args) -> Result<Value, Failed> {
    let paths = globals.paths();
    let mut text = String::new();
    let read = std::io::stdin().lock().take(INPUT_BYTES_MAX).read_to_string(&mut text);
    read.map_err(|error| failed(format!("the other site's words cannot be read: {error}")))?;
    let value: Value =
        serde_json::from_str(&text).map_err(|error| failed(format!("they are not understood: {error}")))?;
    if let Some(certificate) = value["certificate"].as_str() {
        let path = made::folder(&paths.config_file).join(made::PEER_CERTIFICATE);
        write::all(&[write::Planned { path, text: certificate.to_owned(), mode: 0o644 }]).map_err(failed)?;
        return Ok(json!({"ok": true}));
    }
    let plan: Plan =
        serde_json::from_value(value).map_err(|error| failed(format!("they are not understood: {error}")))?;
    // A command that was interrupted is repeated: the same pair, and nothing has run yet.
    let is_repeated = known(&paths).is_some_and(|own| own.cluster_id == plan.shared.cluster_id)
        && !paths.state_file.exists();
    refuse_if_there(&paths, args.replace || is_repeated)?;
    let (files, made) = files::plan(&plan, &paths.config_file).map_err(failed)?;
    write::all(&files).map_err(failed)?;
    forget_role(&paths).map_err(failed)?;
    Ok(json!({"ok": true, "made": made}))
}

/// A role that `reset` left would keep the site standalone.
pub(super) fn forget_role(paths: &Paths) -> Result<(), String> {
    use dr_watchdog_core::durable::Found;
    use dr_watchdog_sdk::sections::Role;
    let file = crate::daemon::state_file::StateFile::new(paths.state_file.clone());
    match file.read() {
        Found::Good(durable) if durable.role == Role::Standalone => std::fs::remove_file(&paths.state_file)
            .map_err(|error| format!("{}: {error}", paths.state_file.display())),
        _ => Ok(()),
    }
}
