//! The laboratory: two sites, their arbiters and the wires between them, on this machine.

pub mod arbiter;
pub mod daemon;
pub mod ledger;
pub mod mail;
pub mod namespace;
pub mod network;
pub mod recipe;

mod ear;
mod lone;
mod pair;
mod turns;

pub use arbiter::{Arbiter, Keys};
pub use daemon::Daemon;
pub use ear::Ear;
pub use ledger::Ledger;
pub use lone::Lone;
pub use mail::MailServer;
pub use namespace::Namespace;
pub use network::{Network, Node};
pub use pair::Pair;
pub use recipe::Recipe;
pub use turns::{Turn, take_turn};
