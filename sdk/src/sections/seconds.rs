//! A span in seconds that is written as the manual writes it: `30`, and `0.5` only where it is not whole.

use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const MS_PER_S: u64 = 1_000;
/// The longest span that is read: about 31,000 years, far below any overflow.
const SECONDS_MAX: f64 = 1e12;

/// Whole milliseconds, shown in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Seconds {
    ms: u64,
}

impl Seconds {
    /// A span of whole milliseconds.
    pub const fn from_ms(ms: u64) -> Self {
        Self { ms }
    }

    /// A span of whole seconds.
    pub const fn from_s(seconds: u64) -> Self {
        Self { ms: seconds * MS_PER_S }
    }

    /// Milliseconds.
    pub const fn ms(self) -> u64 {
        self.ms
    }

    /// The same span as a [`Duration`].
    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.ms)
    }
}

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.ms.is_multiple_of(MS_PER_S) {
            serializer.serialize_u64(self.ms / MS_PER_S)
        } else {
            serializer.serialize_f64(self.ms as f64 / MS_PER_S as f64)
        }
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        if (0.0..=SECONDS_MAX).contains(&seconds) {
            Ok(Self { ms: (seconds * MS_PER_S as f64).round() as u64 })
        } else {
            Err(serde::de::Error::custom(format!("{seconds} is no number of seconds from 0 on")))
        }
    }
}

impl JsonSchema for Seconds {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Seconds".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "minimum": 0, "description": "A span in seconds" })
    }
}
