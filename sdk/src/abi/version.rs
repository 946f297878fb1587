//! The version of the C ABI, with the rule by which two versions match.

use std::fmt;

/// Grows when something that exists changes or goes; a plugin of another major is refused.
pub const MAJOR: u32 = 1;

/// Grows when something is appended; a plugin says the lowest minor it can live with.
pub const MINOR: u32 = 0;

/// The lowest minor that plugins built with this SDK need.
pub const MINOR_REQUIRED: u32 = 0;

/// Why a plugin and a host do not match. `Display` says which number, whose, and what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mismatch {
    /// The majors differ.
    Major {
        /// The plugin's.
        plugin: u32,
    },
    /// The plugin needs something that this host does not have yet.
    Minor {
        /// What the plugin needs.
        required: u32,
    },
}

/// Whether this host can run a plugin of these numbers.
///
/// # Errors
/// When the majors differ, or the plugin needs a later minor.
pub const fn check(major: u32, minor_required: u32) -> Result<(), Mismatch> {
    if major != MAJOR {
        return Err(Mismatch::Major { plugin: major });
    }
    if minor_required > MINOR {
        return Err(Mismatch::Minor { required: minor_required });
    }
    Ok(())
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Major { plugin } => {
                write!(f, "the plugin was built for ABI major {plugin}, this host speaks ABI major {MAJOR}")
            }
            Self::Minor { required } => write!(
                f,
                "the plugin needs ABI {MAJOR}.{required} or later, this host speaks ABI {MAJOR}.{MINOR}"
            ),
        }
    }
}

impl Mismatch {
    /// What the operator may do.
    pub fn remedy(&self) -> String {
        match self {
            Self::Major { plugin } if *plugin < MAJOR => {
                format!("ask its vendor for a build for ABI major {MAJOR}")
            }
            Self::Major { plugin } => {
                format!(
                    "upgrade dr-watchdog to a version with ABI major {plugin}, or use an older build of the plugin"
                )
            }
            Self::Minor { required } => format!(
                "upgrade dr-watchdog to a version with ABI {MAJOR}.{required}, or use an older build of the plugin"
            ),
        }
    }
}

impl std::error::Error for Mismatch {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_both_numbers_and_what_to_do() {
        assert_eq!(check(MAJOR, MINOR), Ok(()));
        let older = check(MAJOR - 1, 0).unwrap_err();
        assert_eq!(older.to_string(), "the plugin was built for ABI major 0, this host speaks ABI major 1");
        assert!(older.remedy().contains("vendor"));
        let newer = check(MAJOR + 1, 0).unwrap_err();
        assert!(newer.remedy().contains("upgrade dr-watchdog to a version with ABI major 2"));
        let later = check(MAJOR, MINOR + 3).unwrap_err();
        assert_eq!(later.to_string(), "the plugin needs ABI 1.3 or later, this host speaks ABI 1.0");
    }
}
