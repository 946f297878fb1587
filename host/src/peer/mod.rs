//! The other site: heartbeat messages.
