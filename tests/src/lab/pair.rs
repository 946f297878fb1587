//! Two sites with real arbiters: what most scenarios begin with.

use std::time::Duration;

use super::arbiter::{Arbiter, Keys};
use super::daemon::Daemon;
use super::ledger::Ledger;
use super::network::{Network, Node};
use super::recipe::Recipe;
use super::turns::{Turn, take_turn};
use crate::needs;
use crate::scratch::Scratch;

/// Longest way from the start to a settled pair.
const SETTLE_LIMIT: Duration = Duration::from_secs(60);

/// Site A, site B, their arbiters, the wires, and the ledger of who served when.
///
/// The order of the fields is the order of their end: watchdogs, arbiters, wires, files.
#[derive(Debug)]
pub struct Pair {
    /// The site that begins as the active one.
    pub a: Daemon,
    /// The site that begins as the standby.
    pub b: Daemon,
    /// The arbiters.
    pub arbiters: Vec<Arbiter>,
    /// The sites' own `sshd`; ending one makes its site deaf to commands.
    pub doors: [Option<Arbiter>; 2],
    /// The keys of everybody.
    pub keys: Keys,
    /// The wires.
    pub network: Network,
    /// Who served when.
    pub ledger: Ledger,
    /// The files.
    pub scratch: Scratch,
    _turn: Turn,
}

impl Pair {
    /// A pair that is not yet started; `vary` changes what each site is told.
    pub fn new(arbiters: u8, mut vary: impl FnMut(Node, &mut Recipe)) -> Self {
        needs::root();
        let turn = take_turn();
        let scratch = Scratch::new("pair");
        let network = Network::new(arbiters);
        let keys = Keys::new(&scratch);
        let ledger = Ledger::new(&scratch);
        let running = network
            .arbiters()
            .into_iter()
            .map(|node| Arbiter::start(network.namespace(node), &scratch, &keys))
            .collect();
        let door = |node: Node, name: &str| {
            Some(Arbiter::start_at_site(network.namespace(node), &scratch, &keys, &scratch.join(name)))
        };
        let doors = [door(Node::A, "a"), door(Node::B, "b")];
        let mut site = |node: Node, name: &str, index: u8, role: &str, peer: (&str, Node)| {
            let mut recipe = Recipe::new(name, index, role, node.address(), (peer.0, peer.1.address()));
            recipe.arbiters = network.arbiters().into_iter().map(Node::address).collect();
            recipe.client_key = Some(keys.client.clone());
            recipe.host_key = Some(keys.fingerprint.clone());
            recipe.be_active = vec![("serve".to_owned(), ledger.command(name, "serve"), true)];
            recipe.be_standby = vec![("stop".to_owned(), ledger.command(name, "stop"), true)];
            recipe.peer_more =
                format!("identity = \"{}\"\nhostKey = \"{}\"\n", keys.client.display(), keys.fingerprint);
            vary(node, &mut recipe);
            Daemon::new(name, &scratch.join(name), Some(network.namespace(node)), &recipe.to_toml())
        };
        let a = site(Node::A, "a", 0, "active", ("b", Node::B));
        let b = site(Node::B, "b", 1, "standby", ("a", Node::A));
        Self { a, b, arbiters: running, doors, keys, network, ledger, scratch, _turn: turn }
    }

    /// Two machines without anything of ours on them but the program.
    pub fn empty(arbiters: u8) -> Self {
        let pair = Self::new(arbiters, |_, _| {});
        for site in [&pair.a, &pair.b] {
            std::fs::remove_dir_all(site.root()).unwrap();
        }
        pair
    }

    /// A pair that has settled: A serves, B stands by, they hear each other, and A manages every arbiter.
    pub fn settled(arbiters: u8, vary: impl FnMut(Node, &mut Recipe)) -> Self {
        let mut pair = Self::new(arbiters, vary);
        pair.settle();
        pair
    }

    /// Starts both watchdogs and waits until they have settled.
    pub fn settle(&mut self) {
        self.a.start();
        self.b.start();
        self.a.wait_standing("active/active", SETTLE_LIMIT);
        self.b.wait_standing("standby/standby", SETTLE_LIMIT);
        self.wait_well();
    }

    /// Waits until both sites hear each other and every arbiter answers and is held.
    #[track_caller]
    pub fn wait_well(&mut self) {
        for daemon in [&mut self.a, &mut self.b] {
            daemon.wait("health is ok", SETTLE_LIMIT, |daemon| {
                let health = daemon.try_health()?;
                crate::wait::holds(health["status"] == "ok" && health["booting"] == false, || {
                    health.to_string()
                })
            });
        }
        let active =
            if self.a.standing() == Ok("active/active".to_owned()) { &mut self.a } else { &mut self.b };
        active.wait("every arbiter is held", SETTLE_LIMIT, |daemon| {
            let arbiters = daemon.try_health()?["arbiters"].clone();
            crate::wait::holds(arbiters["held"] == arbiters["total"], || arbiters.to_string())
        });
    }

    /// What a log-in at either site finds as the program, from now on: a script, in which `REAL` is the program under
    /// test; an empty one is that program again.
    pub fn replace_program(&self, script: &str) {
        let place = self.scratch.join("programs/dr-watchdog");
        let twin = crate::program::twin();
        let new = place.with_extension("new");
        if script.is_empty() {
            std::os::unix::fs::symlink(twin, &new).unwrap();
        } else {
            let text = format!("#!/bin/sh\n{}", script.replace("REAL", twin.to_str().unwrap()));
            std::fs::write(&new, text).unwrap();
            crate::scratch::set_mode(&new, 0o755);
        }
        // By rename, so that a log-in of this moment finds the old one or the new one.
        std::fs::rename(&new, &place).unwrap();
    }

    /// The program at the other end answers so many commands, carries the next one out without an answer, and is gone
    /// then.
    pub fn die_after(&self, commands: u32) {
        let count = self.scratch.join("commands");
        // Of an earlier use.
        let _ = std::fs::remove_file(&count);
        self.replace_program(&format!(
            "n=$(cat {0} 2>/dev/null || echo 0); n=$((n+1)); echo $n >{0}\n[ $n -le {commands} ] && exec REAL \"$@\"\n\
             [ $n -eq $(({commands}+1)) ] && REAL \"$@\" >/dev/null 2>&1\nexit 255\n",
            count.display()
        ));
    }

    /// The key that log-ins at both sites are made with is let in there, or not.
    pub fn let_key_in(&self, is_let_in: bool) {
        let public = std::fs::read_to_string(self.keys.client.with_extension("pub")).unwrap();
        for node in [Node::A, Node::B] {
            let name = format!("{}.keys", self.network.namespace(node).name());
            self.scratch.write(name, if is_let_in { public.as_str() } else { "" });
        }
    }

    /// Everything there is to see.
    pub fn dump(&self) -> String {
        format!("{}\n{}\n{}", self.a.dump(), self.b.dump(), self.ledger)
    }
}
