//! This machine's own gateways, from the kernel's table of routes.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The kernel's routes of IPv4; they are of the network namespace of the thread that reads them.
const ROUTES: &str = "/proc/thread-self/net/route";
/// The kernel's routes of IPv6.
const ROUTES_V6: &str = "/proc/thread-self/net/ipv6_route";
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

/// The gateways behind which these addresses lie; none where a table cannot be read, as that blames nobody.
pub fn gateways_to(addresses: &[IpAddr]) -> BTreeSet<IpAddr> {
    let table = |file: &str| {
        std::fs::read_to_string(file).unwrap_or_else(|error| {
            tracing::debug!(%error, file, "the routes could not be read");
            String::new()
        })
    };
    let mut all = BTreeSet::new();
    let (v4, v6): (Vec<IpAddr>, Vec<IpAddr>) =
        addresses.iter().map(IpAddr::to_canonical).partition(IpAddr::is_ipv4);
    if !v4.is_empty() {
        let routes = routes(&table(ROUTES));
        all.extend(v4.iter().filter_map(|address| gateway_to(&routes, *address)).map(IpAddr::V4));
    }
    if !v6.is_empty() {
        let routes = routes_v6(&table(ROUTES_V6));
        all.extend(v6.iter().filter_map(|address| gateway_to_v6(&routes, *address)).map(IpAddr::V6));
    }
    all
}

/// One route of IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct RouteV6 {
    network: u128,
    prefix: u32,
    gateway: Option<Ipv6Addr>,
    metric: u32,
}

/// The table of IPv6: destination, prefix, source, prefix, next hop, metric, two counters, flags, device; all in
/// hexadecimal, as people write it.
fn routes_v6(table: &str) -> Vec<RouteV6> {
    table.lines().filter_map(route_v6).collect()
}

fn route_v6(line: &str) -> Option<RouteV6> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [network, prefix, _, _, next, metric, _, _, flags, ..] = fields.as_slice() else { return None };
    let flags = u32::from_str_radix(flags, 16).ok()?;
    (flags & UP != 0).then_some(())?;
    let next = Ipv6Addr::from(u128::from_str_radix(next, 16).ok()?);
    Some(RouteV6 {
        network: u128::from_str_radix(network, 16).ok()?,
        prefix: u32::from_str_radix(prefix, 16).ok().filter(|prefix| *prefix <= u128::BITS)?,
        // A link-local next hop has no meaning without its link, so it cannot be pinged from here.
        gateway: (flags & GATEWAY != 0 && !next.is_unicast_link_local()).then_some(next),
        metric: u32::from_str_radix(metric, 16).ok()?,
    })
}

fn gateway_to_v6(routes: &[RouteV6], address: IpAddr) -> Option<Ipv6Addr> {
    let IpAddr::V6(address) = address else { return None };
    if address.is_loopback() || address.is_unicast_link_local() {
        return None;
    }
    let mask = |prefix: u32| u128::MAX.checked_shl(u128::BITS - prefix).unwrap_or(0);
    let fitting = routes.iter().filter(|route| u128::from(address) & mask(route.prefix) == route.network);
    let best = fitting.max_by_key(|route| (route.prefix, std::cmp::Reverse(route.metric)))?;
    best.gateway.filter(|gateway| *gateway != address)
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

    #[test]
    fn the_gateway_of_ipv6_is_found_unless_it_is_link_local() {
        let table = "\
20010db8000000000000000000000000 20 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 20010db8000000000000000000000fe0 00000400 00000001 00000000 00000003     eth0
20010db8ffff00000000000000000000 30 00000000000000000000000000000000 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003     eth1
garbage
";
        let routes = routes_v6(table);
        let gateway = |address: &str| gateway_to_v6(&routes, address.parse().unwrap());
        assert_eq!(gateway("2001:db9::1"), Some("2001:db8::fe0".parse().unwrap()));
        assert_eq!(gateway("2001:db8::1"), None);
        assert_eq!(gateway("2001:db8:ffff::1"), None);
        assert_eq!(gateway("::1"), None);
    }
}
