//! The journal of a watchdog: what was given to its core and what the core asked for, so that both can be compared
//! again later.
//!
//! Effects are kept as the text of their debug form: they are compared, never carried out a second time.

use serde::{Deserialize, Serialize};

use crate::durable::Found;
use crate::effect::Effect;
use crate::event::Event;
use crate::exclusion::fact::GuardFound;
use crate::settings::Settings;
use crate::time::Now;
use crate::watchdog::{Boot, Watchdog};

/// One line of a journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "type")]
pub enum Line {
    /// The first one: all that a core is made of.
    Begin(Box<Begin>),
    /// Something was given to the core.
    Event {
        /// When.
        now: Now,
        /// What.
        event: Event,
        /// Effects that the core had been asked for and that had not been taken yet.
        pending: usize,
    },
    /// An effect was taken.
    Effect {
        /// Its debug form.
        effect: String,
    },
    /// The journal has reached its largest size; what came later is not in it.
    Full,
}

/// What a core is made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Begin {
    /// Version of the program.
    pub version: String,
    /// When it began.
    pub now: Now,
    /// Its settings.
    pub settings: Settings,
    /// The kernel's boot, the run of the program, the guard.
    pub boot: Boot,
    /// The stored state.
    pub found: Found,
}

impl Begin {
    /// The core that begins so.
    pub fn core(self) -> Watchdog {
        Watchdog::boot_leased(self.now, self.settings, &self.boot, self.found)
    }

    /// A boot of which only the kernel's id is known, as outside of `lease`.
    pub fn boot_of(id: &str) -> Boot {
        Boot { id: id.to_owned(), run: 0, guard: GuardFound::Idle }
    }
}

/// A time with a fraction, as text: a fraction in JSON may be read back with another last digit.
pub(crate) mod exact {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        answer: &Result<f64, String>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        answer.as_ref().map(ToString::to_string).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Result<f64, String>, D::Error> {
        match Result::<String, String>::deserialize(deserializer)? {
            Ok(text) => text.parse().map(Ok).map_err(D::Error::custom),
            Err(why) => Ok(Err(why)),
        }
    }
}

/// An effect as a journal has it.
pub fn text(effect: &Effect) -> String {
    format!("{effect:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_back_as_it_was_to_the_last_digit() {
        let now = Now {
            mono: crate::time::Moment::from_us(20_004_337_694),
            wall: dr_watchdog_sdk::Utc::from_unix_ms(1_795_570_304_006),
        };
        for answer in [Ok(0.966_169_000_000_000_1), Err("timeout".to_owned())] {
            let line = Line::Event { now, event: Event::ArbiterPinged { arbiter: 2, answer }, pending: 3 };
            let read: Line = serde_json::from_str(&serde_json::to_string(&line).unwrap()).unwrap();
            assert_eq!(read, line);
        }
    }
}
