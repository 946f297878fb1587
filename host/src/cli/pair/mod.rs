//! Commands that concern both sites.

pub(super) mod failover;
pub(super) mod follow;
pub(super) mod question;
pub(super) mod reset;
pub(super) mod site;
pub(super) mod start;
pub(super) mod state;
pub(super) mod stop;
pub(super) mod swap;
