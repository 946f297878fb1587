//! The network of the demo: five machines on one backbone, each by a link that can be cut.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsRawFd;

use nix::net::if_::{InterfaceFlags, if_nametoindex};
use rtnetlink::packet_route::link::{InfoData, InfoVeth};
use rtnetlink::{Handle, LinkBridge, LinkMessageBuilder, LinkUnspec, LinkVeth, RouteMessageBuilder};

use super::namespace::Namespace;

/// The switch that joins all machines.
const BRIDGE: &str = "backbone";
/// The network card of each machine.
const CARD: &str = "wan0";

/// A machine on the backbone.
#[derive(Debug)]
pub struct Machine {
    /// Its address.
    pub address: Ipv4Addr,
    /// Where its processes run.
    pub namespace: Namespace,
    /// The backbone's end of its link.
    port: String,
}

/// The backbone.
#[derive(Debug)]
pub struct Backbone {
    namespace: Namespace,
}

impl Backbone {
    /// A backbone without machines.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn create() -> io::Result<Self> {
        let namespace = Namespace::create()?;
        namespace.run(|| {
            silence_ipv6()?;
            netlink(async |handle| handle.link().add(LinkBridge::new(BRIDGE).build()).execute().await)
        })?;
        Ok(Self { namespace })
    }

    /// Adds a machine. It reaches every other one directly: whatever its network, the backbone is one wire. It knows
    /// beforehand where everybody is, as a site knows its router: a question for an address that nobody answers
    /// would make the cut heard, and packets that waited for the answer would arrive long after they were sent.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn attach(&self, name: &str, address: Ipv4Addr, everybody: &[Ipv4Addr]) -> io::Result<Machine> {
        let machine = Machine { address, namespace: Namespace::create()?, port: format!("to-{name}") };
        let target = machine.namespace.file().as_raw_fd();
        self.namespace.run(|| {
            let card = LinkMessageBuilder::<LinkUnspec>::new().name(CARD).address(hardware_address(address));
            let card = card.setns_by_fd(target).build();
            let pair = LinkVeth::new(&machine.port, CARD).set_info_data(InfoData::Veth(InfoVeth::Peer(card)));
            netlink(async |handle| handle.link().add(pair.build()).execute().await)
        })?;
        machine.namespace.run(|| {
            silence_ipv6()?;
            allow_ordinary_processes()?;
            let (card, loopback) = (if_nametoindex(CARD)?, if_nametoindex("lo")?);
            netlink(async |handle| {
                for index in [loopback, card] {
                    handle.link().set(LinkUnspec::new_with_index(index).up().build()).execute().await?;
                }
                handle.address().add(card, IpAddr::V4(address), 32).execute().await?;
                let everything = RouteMessageBuilder::<Ipv4Addr>::new()
                    .output_interface(card)
                    .scope(rtnetlink::packet_route::route::RouteScope::Link)
                    .build();
                handle.route().add(everything).execute().await?;
                for other in everybody.iter().filter(|other| **other != address) {
                    let neighbour = handle.neighbours().add(card, IpAddr::V4(*other));
                    neighbour.link_layer_address(&hardware_address(*other)).execute().await?;
                }
                Ok(())
            })
        })?;
        self.restore(&machine)?;
        Ok(machine)
    }

    /// Takes the machine's port out of the switch. Its own card notices nothing: the carrier stays, the frames go
    /// nowhere. That is how a cut somewhere in a carrier's network looks from a site.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn cut(&self, machine: &Machine) -> io::Result<()> {
        self.namespace.run(|| {
            let port = if_nametoindex(machine.port.as_str())?;
            netlink(async |handle| {
                handle.link().set(LinkUnspec::new_with_index(port).nocontroller().build()).execute().await
            })
        })
    }

    /// Puts the machine's port back into the switch.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn restore(&self, machine: &Machine) -> io::Result<()> {
        self.namespace.run(|| {
            let (bridge, port) = (if_nametoindex(BRIDGE)?, if_nametoindex(machine.port.as_str())?);
            netlink(async |handle| {
                let link = LinkUnspec::new_with_index(port).controller(bridge).up().build();
                handle.link().set(link).execute().await
            })
        })
    }
}

impl Machine {
    /// Whether the machine's own card has a carrier.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn has_carrier(&self) -> io::Result<bool> {
        self.namespace.run(|| {
            let mut cards = nix::ifaddrs::getifaddrs()?.filter(|interface| interface.interface_name == CARD);
            Ok(cards.any(|card| card.flags.contains(InterfaceFlags::IFF_RUNNING)))
        })
    }
}

/// A locally administered hardware address, one for each address.
fn hardware_address(address: Ipv4Addr) -> Vec<u8> {
    [&[0x02, 0x00][..], &address.octets()].concat()
}

/// Talks rtnetlink in the namespace of the calling thread.
fn netlink(work: impl AsyncFnOnce(Handle) -> Result<(), rtnetlink::Error>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        tokio::spawn(connection);
        work(handle).await.map_err(into_io)
    })
}

/// A refusal of the kernel keeps its error number, so that "not permitted" is recognised wherever it happens.
fn into_io(error: rtnetlink::Error) -> io::Error {
    match error {
        rtnetlink::Error::NetlinkError(message) => message.to_io(),
        other => io::Error::other(other.to_string()),
    }
}

/// IPv6 would fill the wire with its own questions; nothing in the demo speaks it. A kernel without it is as good.
fn silence_ipv6() -> io::Result<()> {
    match std::fs::write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1") {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Lets processes without capabilities ping and listen on the SSH port. The setting is the namespace's own.
fn allow_ordinary_processes() -> io::Result<()> {
    // Only a group that exists in this user namespace is accepted, and ours does.
    let group = nix::unistd::getegid();
    std::fs::write("/proc/sys/net/ipv4/ping_group_range", format!("{group} {group}"))?;
    std::fs::write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::time::Duration;

    const SITE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
    const ARBITER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
    /// Longest wait for a connection that must come about, and time given to one that must not.
    const PATIENCE: [Duration; 2] = [Duration::from_secs(10), Duration::from_millis(300)];

    fn connects(from: &Machine, to: SocketAddr, patience: Duration) -> io::Result<TcpStream> {
        from.namespace.run(|| TcpStream::connect_timeout(&to, patience))
    }

    #[test]
    fn a_cut_is_silent_and_a_restored_link_carries_again() {
        let backbone = Backbone::create().unwrap();
        let site = backbone.attach("a", SITE, &[SITE, ARBITER]).unwrap();
        let arbiter = backbone.attach("r1", ARBITER, &[SITE, ARBITER]).unwrap();
        let listener = arbiter.namespace.run(|| TcpListener::bind((ARBITER, 22))).unwrap();
        let to = listener.local_addr().unwrap();

        let stream = connects(&site, to, PATIENCE[0]).unwrap();
        assert_eq!(
            stream.local_addr().unwrap().ip(),
            SITE,
            "machines of different networks see real addresses"
        );

        backbone.cut(&site).unwrap();
        assert!(site.has_carrier().unwrap(), "the site's own card must not notice");
        assert!(connects(&site, to, PATIENCE[1]).is_err());

        backbone.restore(&site).unwrap();
        assert!(connects(&site, to, PATIENCE[0]).is_ok());
    }

    #[test]
    fn machines_are_apart_from_the_machine_that_runs_them() {
        let backbone = Backbone::create().unwrap();
        let site = backbone.attach("a", SITE, &[SITE, ARBITER]).unwrap();
        let outside = TcpListener::bind("127.0.0.1:0").unwrap();
        let refused = connects(&site, outside.local_addr().unwrap(), PATIENCE[0]).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        assert!(if_nametoindex(BRIDGE).is_err(), "nothing is added outside");
    }
}
