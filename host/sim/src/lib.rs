//! Two sites, their arbiters and everything between them in virtual time: one seed is one run.
//!
//! Architecture invariant: no clock, thread, file or socket; randomness comes from the seed only.

pub mod fault;
pub mod invariant;
pub mod liars;
pub mod options;
pub mod policy;
pub mod random;
pub mod replay;
pub mod run;
pub mod scenario;
pub mod shrink;
pub mod svg;
pub mod tally;
pub mod timeline;
pub mod world;
