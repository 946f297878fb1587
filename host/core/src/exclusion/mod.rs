//! Exclusion by lease: what keeps two sites from serving at once (`exclusion-notes.md`).
//!
//! The active serves on evidence that is at most L old; the standby takes over on a silence of at least F, which is
//! longer by everything that may overlap. Both count at the same arbiters, and their two sets always share one.

pub mod active;
pub mod agreed;
pub mod check;
pub mod claim;
pub mod fact;
pub mod gates;
pub mod lease;
pub mod lpc;
pub mod memory;
pub mod message;
pub mod quorum;
pub mod request;
pub mod rules;
pub mod state;
pub mod timers;
pub mod transitions;
