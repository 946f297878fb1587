//! Names to addresses, within a deadline.

use std::io;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};
use tokio::time::Instant;

use super::last_known::LastKnown;

/// Most look-ups at once, over the whole program: a resolver that never answers keeps a thread for each.
const LOOK_UPS_MAX: usize = 32;
static LOOK_UPS: Semaphore = Semaphore::const_new(LOOK_UPS_MAX);
/// The part of the time for which a name server is waited for where an address is known.
const KNOWN_SHARE: u32 = 4;
/// Of the whole program, as the name servers are.
static LAST_KNOWN: Mutex<LastKnown> = Mutex::new(LastKnown::new());

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

/// The address of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resolved {
    /// The address.
    pub address: IpAddr,
    /// How long ago a name server told it, where none tells it now.
    pub age: Option<Duration>,
}

/// The first address of a host; an address is its own, whatever the resolver does. Where no name server answers, the
/// last address that one told is taken: a dead name server is no dead host. It is waited for no longer than a part of
/// the time then, as the host has to be asked in the rest.
///
/// # Errors
/// See [`ResolveError`].
pub async fn resolve(host: &str, timeout: Duration) -> Result<Resolved, ResolveError> {
    if let Ok(address) = host.parse() {
        return Ok(Resolved { address, age: None });
    }
    let known = last_known().of(host, Instant::now());
    let patience = if known.is_some() { timeout / KNOWN_SHARE } else { timeout };
    let told = tokio::time::timeout(patience, look_up(host)).await;
    match told.unwrap_or_else(|_| Err(ResolveError::Timeout(host.to_owned(), patience))) {
        Ok(address) => Ok(Resolved { address, age: None }),
        Err(error) => {
            let (address, age) = known.ok_or(error)?;
            Ok(Resolved { address, age: Some(age) })
        }
    }
}

fn last_known() -> MutexGuard<'static, LastKnown> {
    LAST_KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
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
        let first = addresses.map(|mut addresses| addresses.next());
        if let Ok(Some(first)) = &first {
            last_known().told(&name, first.ip(), Instant::now());
        }
        // Whoever asked may have given up.
        let _ = found.send(first);
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
        let v4 = resolve("192.0.2.1", Duration::ZERO).await.unwrap();
        assert_eq!(v4, Resolved { address: IpAddr::from([192, 0, 2, 1]), age: None });
        assert_eq!(resolve("2001:db8::1", Duration::ZERO).await.unwrap().address.to_string(), "2001:db8::1");
        assert!(resolve("localhost", 20 * SECOND).await.unwrap().address.is_loopback());
        assert!(matches!(resolve("", 20 * SECOND).await, Err(ResolveError::Unknown(..))));
    }
    #[tokio::test]
    async fn the_last_known_address_is_taken_where_nobody_tells_a_new_one() {
        let (name, address) = ("once-known.invalid", IpAddr::from([192, 0, 2, 9]));
        last_known().told(name, address, Instant::now());
        let resolved = resolve(name, 4 * SECOND).await.unwrap();
        assert_eq!(resolved.address, address);
        assert!(resolved.age.is_some_and(|age| age < 20 * SECOND), "{resolved:?}");
    }
}
