//! `[ssh]`, lowered.

use std::path::PathBuf;

use super::site::word;
use crate::config::error::quoted;
use crate::config::model::Ssh;
use crate::config::reader::{Keys, Reader};
use crate::probe::ssh::Adapter;
use crate::probe::ssh::known_hosts::{FILE_BYTES_MAX, standard_files};

const SSH: Keys = Keys::new(&["adapter", "knownHosts"]);
const ADAPTERS: [(&str, Adapter); 2] = [("russh", Adapter::Russh), ("thrussh", Adapter::Thrussh)];

pub(super) fn ssh(root: &Reader<'_>) -> Ssh {
    let table = root.table("ssh", SSH);
    let adapter = word(&table, "adapter", &ADAPTERS).unwrap_or(Adapter::Russh);
    if !adapter.is_built() {
        table.wrong(
            "adapter",
            "\"thrussh\", which this program was built without",
            "\"russh\", or a program built with `cargo build --release --features thrussh`",
        );
    } else if adapter == Adapter::Thrussh {
        table.warn(
            "adapter",
            "\"thrussh\" reaches fewer devices than \"russh\" and asks each over a new connection after as many \
             looks as the device opens channels (OpenSSH: MaxSessions, 10)",
        );
    }
    Ssh { adapter, known_hosts: known_hosts(&table) }
}

/// Those that are written have to be there; without any, the ones of `ssh` are read where they are.
fn known_hosts(table: &Reader<'_>) -> Vec<PathBuf> {
    if table.get("knownHosts").is_none() {
        return standard_files(table.report.around().variable("HOME").as_deref());
    }
    let files: Vec<PathBuf> =
        table.texts("knownHosts").iter().map(|file| table.report.resolved(file)).collect();
    for file in &files {
        if let Err(error) = table.report.around().read(file, FILE_BYTES_MAX) {
            let found = format!("{} ({error})", quoted(&file.display().to_string()));
            table.wrong(
                "knownHosts",
                found,
                "files of known hosts that the watchdog can read; [] = pins alone count",
            );
        }
    }
    files
}
