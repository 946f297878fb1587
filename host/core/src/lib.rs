//! The decision of dr-watchdog as a pure state machine: facts and time in, effects out.
//!
//! Architecture invariant: nothing here reads a clock, a file or a socket, spawns, logs, or iterates a hash map.

pub mod arbiters;
pub mod automatic;
pub mod durable;
pub mod effect;
pub mod event;
pub mod evidence;
pub mod exclusion;
pub mod gates;
pub mod heartbeat;
pub mod journal;
pub mod settings;
pub mod time;
pub mod transitions;
pub mod watchdog;

pub use effect::Effect;
pub use event::Event;
pub use settings::Settings;
pub use time::{Moment, Now};
pub use watchdog::Watchdog;
