//! End to end: real watchdogs in network namespaces, real `sshd` as arbiters, links that are really cut.
//!
//! Every scenario says what is broken, and what must hold. At no instant both sites serve: the steps of the role
//! changes themselves enter into a ledger when they begin and end to serve.

#![allow(clippy::unwrap_used, reason = "a scenario that cannot go on has failed")]

mod arbiters;
mod commands;
mod crashes;
mod cuts;
mod demo;
mod fleet;
mod grace;
mod halfway;
mod init;
mod lab;
mod legacy;
mod operators;
mod reload;
mod start_stop;
mod update;
mod verification;
