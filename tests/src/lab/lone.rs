//! One site in a namespace without any link, told by a file what its policy shall answer.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use super::daemon::Daemon;
use super::ledger::Ledger;
use super::namespace::Namespace;
use super::network::{Node, SITE_A, SITE_B};
use super::recipe::Recipe;
use super::turns::{Turn, take_turn};
use crate::needs;
use crate::scratch::Scratch;

/// Answers with whatever stands in a file, for whatever role the site has.
const TOLD_POLICY: &str = r#"#!/bin/sh
case $(cat) in
*'"role":"active"'*) state=active ;;
*) state=standby ;;
esac
printf '{"state":"%s","action":"%s","description":"as told","payload":{"waitTime":""}}\n' "$state" "$(cat TOLD)"
"#;

/// A site whose other site and arbiters are out of reach: every round asks the policy, and the policy says what the
/// test wants.
///
/// The order of the fields is the order of their end.
#[derive(Debug)]
pub struct Lone {
    /// The site.
    pub site: Daemon,
    /// Where it lives.
    pub namespace: Namespace,
    /// What its steps did.
    pub ledger: Ledger,
    /// Its files.
    pub scratch: Scratch,
    told: PathBuf,
    _turn: Turn,
}

impl Lone {
    /// A site that is not yet started and is told `nothing`.
    pub fn new(vary: impl FnOnce(&Ledger, &mut Recipe)) -> Self {
        needs::root();
        let turn = take_turn();
        let scratch = Scratch::new("lone");
        let namespace = Namespace::new("lone");
        namespace.ip(&format!("addr add {SITE_A}/32 dev lo"));
        let ledger = Ledger::new(&scratch);
        let told = scratch.write("told", "nothing");
        let policy = TOLD_POLICY.replace("TOLD", told.to_str().unwrap());
        let mut recipe = Recipe::new("a", 0, "standby", SITE_A, ("b", SITE_B));
        recipe.policy = Some(scratch.executable("told.sh", policy));
        recipe.arbiters = arbiters();
        // Nobody can be logged in to, and that must not close the gate before a test's own word.
        recipe.more = "[watchdog.failureDetection.threshold]\nadjustManaged = 0\n".to_owned();
        vary(&ledger, &mut recipe);
        let site = Daemon::new("a", &scratch.join("a"), Some(&namespace), &recipe.to_toml());
        Self { site, namespace, ledger, scratch, told, _turn: turn }
    }

    /// From now on the policy answers with this action.
    pub fn tell(&self, action: &str) {
        // Replaced whole: a policy that reads in this moment sees the old word or the new one.
        let new = self.told.with_extension("new");
        std::fs::write(&new, action).unwrap();
        std::fs::rename(&new, &self.told).unwrap();
    }
}

fn arbiters() -> Vec<Ipv4Addr> {
    (0..3).map(|number| Node::Arbiter(number).address()).collect()
}
