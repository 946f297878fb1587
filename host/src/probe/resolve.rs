//! Names to addresses, within a deadline.

use std::io;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};

/// Most look-ups at once, over the whole program: a resolver that never answers keeps a thread for each.
const LOOK_UPS_MAX: usize = 32;
static LOOK_UPS: Semaphore = Semaphore::const_new(LOOK_UPS_MAX);

/// Why a name has no address.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// The resolver gave no answer in time.
    #[error("no name server answered for {0} within {1:?}")]
    Timeout(String, Duration),
    /// The resolver says that there is none.
    #[error("the name {0} does not resolve")]
    Unknown(String, #[source] io::Error),
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
    let late = |_| ResolveError::Timeout(host.to_owned(), timeout);
    tokio::time::timeout(timeout, look_up(host)).await.map_err(late)?
}

/// Asks the system's resolver, in a thread of its own: it cannot be interrupted, and a thread of the runtime would
/// have to be waited for at the end of the program.
async fn look_up(host: &str) -> Result<IpAddr, ResolveError> {
    let unknown = |error| ResolveError::Unknown(host.to_owned(), error);
    // Never closed, so a turn always comes.
    let turn = LOOK_UPS.acquire().await.map_err(|error| unknown(io::Error::other(error)))?;
    let (found, finding) = oneshot::channel();
    let name = host.to_owned();
    let looking = move || {
        let addresses = (name.as_str(), 0).to_socket_addrs();
        drop(turn);
        // Whoever asked may have given up.
        let _ = found.send(addresses.map(|mut addresses| addresses.next()));
    };
    std::thread::Builder::new().name("resolve".to_owned()).spawn(looking).map_err(unknown)?;
    let ended = finding.await.map_err(|error| unknown(io::Error::other(error)))?;
    let address = ended.map_err(unknown)?;
    address.map(|address| address.ip()).ok_or_else(|| ResolveError::Empty(host.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn addresses_need_no_resolver_and_names_do() {
        assert_eq!(resolve("192.0.2.1", Duration::ZERO).await.unwrap(), IpAddr::from([192, 0, 2, 1]));
        assert_eq!(resolve("2001:db8::1", Duration::ZERO).await.unwrap().to_string(), "2001:db8::1");
        assert!(resolve("localhost", 20 * SECOND).await.unwrap().is_loopback());
        assert!(matches!(resolve("", 20 * SECOND).await, Err(ResolveError::Unknown(..))));
    }
}
