//! Tidy: the house rules as tests.
//!
//! Every rule is a function from files to complaints, so that it is tried on a bad sample beside the tree itself.

#![allow(clippy::unwrap_used, reason = "a rule that cannot be checked fails its test")]

mod addresses;
mod arrows;
mod clock;
mod files;
mod licences;
mod manifest;
mod readme;
mod tree;
mod unsafety;
mod words;
