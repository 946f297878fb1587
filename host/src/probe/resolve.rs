//! Names to addresses, within a deadline.

use std::net::IpAddr;
use std::time::Duration;

/// Why a name has no address.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// The resolver gave no answer in time.
    #[error("no name server answered for {0} within {1:?}")]
    Timeout(String, Duration),
    /// The resolver says that there is none.
    #[error("the name {0} does not resolve")]
    Unknown(String, #[source] std::io::Error),
    /// The resolver answered with nothing.
    #[error("the name {0} has no address")]
    Empty(String),
}

/// The first address of a host; an address is its own, whatever the resolver does.
///
/// # Errors
/// See [`ResolveError`].
pub async fn resolve(host: &str, timeout: Duration) -> Result<IpAddr, ResolveError> {
    if let Ok(address) = host.parse() {
        return Ok(address);
    }
    let found = tokio::time::timeout(timeout, tokio::net::lookup_host((host, 0))).await;
    let mut addresses = found
        .map_err(|_| ResolveError::Timeout(host.to_owned(), timeout))?
        .map_err(|error| ResolveError::Unknown(host.to_owned(), error))?;
    addresses.next().map(|address| address.ip()).ok_or_else(|| ResolveError::Empty(host.to_owned()))
}
