//! This machine's own gateways, from the kernel's table of routes.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

/// The kernel's routes of IPv4; they are of the network namespace of the thread that reads them.
const ROUTES: &str = "/proc/thread-self/net/route";
/// Flag of a route that is in use.
const UP: u32 = 0x1;
/// Flag of a route over a gateway.
const GATEWAY: u32 = 0x2;

/// One route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Route {
    network: u32,
    mask: u32,
    gateway: Option<Ipv4Addr>,
    metric: u32,
}

/// The gateways behind which these addresses lie; none where the table cannot be read, as that blames nobody.
pub fn gateways_to(addresses: &[IpAddr]) -> BTreeSet<Ipv4Addr> {
    let routes = match std::fs::read_to_string(ROUTES) {
        Ok(text) => routes(&text),
        Err(error) => {
            tracing::debug!(%error, "the routes could not be read");
            return BTreeSet::new();
        }
    };
    addresses.iter().filter_map(|address| gateway_to(&routes, *address)).collect()
}

/// The table as the kernel prints it: addresses in hexadecimal, as they lie in memory.
fn routes(table: &str) -> Vec<Route> {
    table.lines().skip(1).filter_map(route).collect()
}

fn route(line: &str) -> Option<Route> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [_, network, gateway, flags, _, _, metric, mask, ..] = fields.as_slice() else { return None };
    let address =
        |field: &str| u32::from_str_radix(field, 16).ok().map(|bits| u32::from_be_bytes(bits.to_ne_bytes()));
    let flags = u32::from_str_radix(flags, 16).ok()?;
    let gateway = Ipv4Addr::from(address(gateway)?);
    (flags & UP != 0).then_some(())?;
    Some(Route {
        network: address(network)?,
        mask: address(mask)?,
        gateway: (flags & GATEWAY != 0).then_some(gateway),
        metric: metric.parse().ok()?,
    })
}

/// The longest prefix wins, then the smallest metric.
fn gateway_to(routes: &[Route], address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V4(address) = address.to_canonical() else { return None };
    if address.is_loopback() {
        return None;
    }
    let fitting = routes.iter().filter(|route| u32::from(address) & route.mask == route.network);
    let best = fitting.max_by_key(|route| (route.mask, std::cmp::Reverse(route.metric)))?;
    best.gateway.filter(|gateway| *gateway != address)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a little-endian machine prints it.
    const TABLE: &str = "\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\tFE0200C0\t0003\t0\t0\t100\t00000000\t0\t0\t0
eth1\t00000000\tFD0200C0\t0003\t0\t0\t50\t00000000\t0\t0\t0
eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
eth0\t007100CB\t01643385\t0002\t0\t0\t0\t00FFFFFF\t0\t0\t0
garbage
";

    #[test]
    #[cfg(target_endian = "little")]
    fn the_gateway_of_the_best_route_is_found() {
        let routes = routes(TABLE);
        let gateway = |address: [u8; 4]| gateway_to(&routes, IpAddr::from(address));
        assert_eq!(gateway([198, 51, 100, 1]), Some(Ipv4Addr::new(192, 0, 2, 253)));
        assert_eq!(gateway([192, 0, 2, 7]), None);
        // The route is down, so the default one is taken.
        assert_eq!(gateway([203, 0, 113, 1]), Some(Ipv4Addr::new(192, 0, 2, 253)));
        assert_eq!(gateway([192, 0, 2, 253]), None);
        assert_eq!(gateway([127, 0, 0, 1]), None);
        assert_eq!(gateway_to(&routes, "2001:db8::1".parse().unwrap()), None);
    }
}
