//! Every file of one half of the pair, from the answers and the secrets.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::answers::Answers;
use super::secrets::{self, Shared};
use super::text::{Half, configuration};
use super::write::Planned;
use crate::cli::arbiters::Record;
use crate::cli::made;
use crate::config::{self, Machine};

/// All that makes one half.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Plan {
    pub(super) half: Half,
    pub(super) answers: Answers,
    pub(super) arbiters: Vec<Record>,
    pub(super) shared: Shared,
    /// The other site's certificate, where it is known already.
    pub(super) peer_certificate: Option<String>,
}

/// What was written, beside the files.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Made {
    /// This site's certificate.
    pub(super) certificate: String,
    /// The public half of a new SSH key; `None` where the key was there.
    pub(super) public_key: Option<String>,
}

const SECRET: u32 = 0o600;
const PUBLIC: u32 = 0o644;

/// The files of a half.
///
/// # Errors
/// When chance fails, or the configuration would not load.
pub(super) fn plan(plan: &Plan, config_file: &Path) -> Result<(Vec<Planned>, Made), String> {
    let folder = made::folder(config_file);
    let file = |name: &str, text: String, mode: u32| Planned { path: folder.join(name), text, mode };
    let text = configuration(plan.half, &plan.answers, &plan.arbiters);
    let vip = plan.answers.get("site.vip").cloned().unwrap_or_default();
    let name = plan.answers.get("site.name").cloned().unwrap_or_default();
    let certificate = secrets::certificate(&name, &[vip])?;
    let mut files = vec![
        file(made::HEARTBEAT_KEY, format!("{}\n", plan.shared.heartbeat_key), SECRET),
        file(made::CLUSTER_ID, format!("{}\n", plan.shared.cluster_id), PUBLIC),
        file(made::CERTIFICATE, certificate.certificate.clone(), PUBLIC),
        file(made::CERTIFICATE_KEY, certificate.key, SECRET),
        file(made::REPLICATION, replication(plan), SECRET),
    ];
    if let Some(peer) = &plan.peer_certificate {
        files.push(file(made::PEER_CERTIFICATE, peer.clone(), PUBLIC));
    }
    let identity = Path::new(plan.answers.get("ssh.identity").map(String::as_str).unwrap_or_default());
    let mut public_key = None;
    if !identity.exists() {
        let (private, public) = secrets::ssh_key(&format!("dr-watchdog site {name}"))?;
        let beside = identity.with_extension("pub");
        files.push(Planned { path: identity.to_owned(), text: private, mode: SECRET });
        files.push(Planned { path: beside, text: format!("{public}\n"), mode: PUBLIC });
        public_key = Some(public);
    }
    check(&text, plan)?;
    // Last: where it stands, everything that it names stands.
    files.push(Planned { path: config_file.to_owned(), text, mode: SECRET });
    Ok((files, Made { certificate: certificate.certificate, public_key }))
}

/// Whether the configuration would load; the key beside it is not there yet, so its text stands in.
fn check(text: &str, plan: &Plan) -> Result<(), String> {
    let inline = format!("heartbeatKey = {{ file = \"{}\" }}", made::HEARTBEAT_KEY);
    let text = text.replacen(&inline, &format!("heartbeatKey = \"{}\"", plan.shared.heartbeat_key), 1);
    config::load_text("the new configuration", &text, &Machine).map(drop).map_err(|errors| errors.to_string())
}

fn replication(plan: &Plan) -> String {
    let users = |key: &str| -> Vec<String> {
        let text = plan.answers.get(key).cloned().unwrap_or_default();
        text.split(',').map(|user| toml_edit::Value::from(user.trim()).to_string()).collect()
    };
    let (mysql, pgsql) = (users("mysql.users"), users("pgsql.users"));
    let [one, two, three, four] = &plan.shared.passwords;
    let user = |users: &[String], at: usize| users.get(at).cloned().unwrap_or_else(|| "\"\"".to_owned());
    format!(
        "# Users, passwords and certificates of the replication between the sites, the same at both.\n\
         # This version does not set the replication up: create these users by hand, or keep the file for one that does.\n\n\
         [mysql]\nreplicationUser = {}\nreplicationPassword = \"{one}\"\nmonitorUser = {}\nmonitorPassword = \"{two}\"\n\n\
         [pgsql]\nreplicationUser = {}\nreplicationPassword = \"{three}\"\nmonitorUser = {}\nmonitorPassword = \"{four}\"\n\n\
         [tls]\ncertificate = \"{}\"\nkey = \"{}\"\npeerCertificate = \"{}\"\n",
        user(&mysql, 0),
        user(&mysql, 1),
        user(&pgsql, 0),
        user(&pgsql, 1),
        made::CERTIFICATE,
        made::CERTIFICATE_KEY,
        made::PEER_CERTIFICATE,
    )
}
