//! The wires: one switch, everyone on it, and the ways in which links fail.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::Ipv4Addr;

use super::namespace::Namespace;

/// Address of site `a`.
pub const SITE_A: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
/// Address of site `b`.
pub const SITE_B: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 20);

/// A machine at the switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Node {
    /// The site that starts as the active one.
    A,
    /// The other site.
    B,
    /// An arbiter, counted from 0.
    Arbiter(u8),
}

impl Node {
    /// Its address.
    pub const fn address(self) -> Ipv4Addr {
        match self {
            Self::A => SITE_A,
            Self::B => SITE_B,
            Self::Arbiter(number) => Ipv4Addr::new(203, 0, 113, number + 1),
        }
    }

    fn name(self) -> String {
        match self {
            Self::A => "a".to_owned(),
            Self::B => "b".to_owned(),
            Self::Arbiter(number) => format!("r{number}"),
        }
    }

    /// The switch's port to it.
    fn port(self) -> String {
        format!("to-{}", self.name())
    }
}

/// The switch with everyone on it. Frames from the first to the second of a blocked pair are dropped inside the
/// switch: both ends keep their carrier, as with a failing line far away.
#[derive(Debug)]
pub struct Network {
    nodes: Vec<(Node, Namespace)>,
    blocked: BTreeSet<(Node, Node)>,
    switch: Namespace,
}

impl Network {
    /// Two sites and this many arbiters, all connected.
    pub fn new(arbiters: u8) -> Self {
        let switch = Namespace::new("switch");
        switch.ip("link add sw0 type bridge");
        switch.ip("link set sw0 up");
        let mut network = Self { nodes: Vec::new(), blocked: BTreeSet::new(), switch };
        for node in [Node::A, Node::B].into_iter().chain((0..arbiters).map(Node::Arbiter)) {
            network.connect(node);
        }
        network
    }

    fn connect(&mut self, node: Node) {
        let namespace = Namespace::new(&node.name());
        let port = node.port();
        self.switch.ip(&format!("link add {port} type veth peer name eth0 netns {}", namespace.name()));
        self.switch.ip(&format!("link set {port} master sw0 up"));
        namespace.ip("link set eth0 up");
        namespace.ip(&format!("addr add {}/24 dev eth0", node.address()));
        let other = if matches!(node, Node::Arbiter(_)) { "192.0.2.0/24" } else { "203.0.113.0/24" };
        namespace.ip(&format!("route add {other} dev eth0"));
        self.nodes.push((node, namespace));
    }

    /// The namespace of a machine.
    pub fn namespace(&self, node: Node) -> &Namespace {
        let found = self.nodes.iter().find(|(known, _)| *known == node);
        &found.unwrap_or_else(|| panic!("{node:?} is not in this network")).1
    }

    /// All arbiters.
    pub fn arbiters(&self) -> Vec<Node> {
        self.nodes.iter().map(|(node, _)| *node).filter(|node| matches!(node, Node::Arbiter(_))).collect()
    }

    /// Nothing reaches or leaves the machine any more; its carrier stays.
    pub fn cut_silently(&mut self, node: Node) {
        let others: Vec<Node> =
            self.nodes.iter().map(|(other, _)| *other).filter(|other| *other != node).collect();
        for other in others {
            self.block_both_ways(node, other);
        }
        self.apply();
    }

    /// The machine's cable is pulled: its own link loses the carrier.
    pub fn cut_carrier(&self, node: Node) {
        self.switch.ip(&format!("link set {} down", node.port()));
    }

    /// The two no longer reach each other; everything else goes on.
    pub fn cut_pair(&mut self, one: Node, other: Node) {
        self.block_both_ways(one, other);
        self.apply();
    }

    /// What the first sends no longer reaches the second; the way back is open.
    pub fn cut_one_way(&mut self, from: Node, to: Node) {
        self.blocked.insert((from, to));
        self.apply();
    }

    /// The machine and the arbiters no longer reach each other.
    pub fn cut_from_arbiters(&mut self, node: Node) {
        for arbiter in self.arbiters() {
            self.block_both_ways(node, arbiter);
        }
        self.apply();
    }

    /// Every link works again.
    pub fn heal(&mut self) {
        self.blocked.clear();
        self.apply();
        for (node, _) in &self.nodes {
            self.switch.ip(&format!("link set {} up", node.port()));
        }
    }

    fn block_both_ways(&mut self, one: Node, other: Node) {
        self.blocked.extend([(one, other), (other, one)]);
    }

    /// Replaces all rules in one transaction, so that no frame slips through in between.
    fn apply(&self) {
        let mut rules =
            "add table bridge cuts\ndelete table bridge cuts\ntable bridge cuts {\n chain forward {\n  \
                         type filter hook forward priority 0; policy accept;\n"
                .to_owned();
        for (from, to) in &self.blocked {
            writeln!(rules, "  iifname \"{}\" oifname \"{}\" drop", from.port(), to.port()).unwrap();
        }
        rules.push_str(" }\n}\n");
        self.switch.nft(&rules);
    }
}
