//! Size of the stripped release binary.

use crate::program::target_folder;

/// Most bytes.
const BYTES_MAX: u64 = 12 << 20;

/// Measures; whether the bar is met.
///
/// # Panics
/// When the binary is not built.
pub fn measure() -> bool {
    let file = target_folder().join("dr-watchdog");
    let bytes = file.metadata().unwrap_or_else(|error| panic!("{}: {error}", file.display())).len();
    let mib = bytes as f64 / f64::from(1 << 20);
    super::print("size of the binary", mib, "MiB", "≤ 12", bytes <= BYTES_MAX)
}
