//! The files that `init` makes beside the configuration, by name; `reset` deletes the same.

use std::path::{Path, PathBuf};

/// The key that signs heartbeats, the same at both sites.
pub(super) const HEARTBEAT_KEY: &str = "heartbeat.key";
/// The pair's own name, so that two pairs never take each other's words.
pub(super) const CLUSTER_ID: &str = "cluster.id";
/// What the replication will need: users, passwords, certificates.
pub(super) const REPLICATION: &str = "replication.toml";
/// This site's certificate for the replication, and its key.
pub(super) const CERTIFICATE: &str = "tls/site.crt";
/// Its private key.
pub(super) const CERTIFICATE_KEY: &str = "tls/site.key";
/// The other site's certificate, which this site trusts.
pub(super) const PEER_CERTIFICATE: &str = "tls/peer.crt";
/// Folder of the certificates.
const TLS: &str = "tls";

/// Every file, then every folder, below the folder of the configuration.
pub(super) fn all(config_file: &Path) -> Vec<PathBuf> {
    let folder = folder(config_file);
    let names = [HEARTBEAT_KEY, CLUSTER_ID, REPLICATION, CERTIFICATE, CERTIFICATE_KEY, PEER_CERTIFICATE, TLS];
    std::iter::once(config_file.to_owned()).chain(names.map(|name| folder.join(name))).collect()
}

/// The folder of the configuration.
pub(super) fn folder(config_file: &Path) -> PathBuf {
    config_file.parent().unwrap_or(Path::new("/")).to_owned()
}
