//! From what was written to what the program needs: every check, all errors at once.

use std::path::PathBuf;

use super::error::ConfigErrors;
use super::model::Config;
use super::raw::{self, Node, Raw};
use super::reader::{Keys, Reader};
use super::report::{Report, Surroundings};

mod arbiters;
mod exclusion;
mod manual;
mod policy;
mod site;
mod smtp;
mod ssh;
mod steps;
mod watchdog;

pub(super) use exclusion::formula;

const ROOT: Keys = Keys::new(&[
    "mode",
    "site",
    "peer",
    "core",
    "mysql",
    "pgsql",
    "psql",
    "file",
    "deviceManagement",
    "watchdog",
    "exclusion",
    "policy",
    "roleChange",
    "smtp",
    "ssh",
]);

/// Reads and checks a configuration; the warnings come with it.
///
/// # Errors
/// All that is wrong with it.
pub fn load_text(
    file_name: &str,
    text: &str,
    around: &dyn Surroundings,
) -> Result<(Config, Vec<String>), ConfigErrors> {
    let node =
        raw::parse(text).map_err(|error| ConfigErrors::syntax(file_name, error.line, &error.message))?;
    let report = Report::new(file_name, around);
    let config = lower(&report, &node);
    report.finish().map(|warnings| (config, warnings))
}

fn lower(report: &Report<'_>, node: &Node) -> Config {
    let root = Reader::root(report, node, ROOT);
    let site = site::site(&root);
    let peer = site::peer(&root, &site.name);
    let exclusion_table = exclusion::table(&root);
    let freshness = exclusion::freshness(&exclusion_table);
    let watchdog::Lowered { watchdog, wait_duration_s, arbiters } = watchdog::watchdog(&root, freshness);
    let exclusion = exclusion::exclusion(
        &exclusion_table,
        exclusion::Beside {
            heartbeat_timeout: watchdog.heartbeat.timeout.duration(),
            heartbeat_interval: watchdog.heartbeat.interval.duration(),
            wait_duration_s,
        },
    );
    let detection = &watchdog.failure_detection;
    let custom = detection.is_custom.then(|| PathBuf::from(&detection.script));
    Config {
        mode: site::mode(&root),
        core: manual::core(&root, site.vip.as_deref()),
        mysql: manual::mysql(&root),
        pgsql: manual::pgsql(&root),
        file: manual::file(&root),
        device_management: manual::device_management(&root),
        policy: policy::policy(&root, custom),
        role_change: steps::role_change(&root),
        smtp: smtp::smtp(&root),
        ssh: ssh::ssh(&root),
        site,
        peer,
        watchdog,
        wait_duration_s,
        arbiters,
        exclusion,
    }
}
