//! The pin of a policy: the SHA-256 sum that its file must have.

use std::fmt::Write as _;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::{Failure, FailureKind};

/// Digits of a sum.
pub const SHA256_DIGITS: usize = 64;

/// The sum of these bytes, in lower-case hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(SHA256_DIGITS);
    for byte in Sha256::digest(bytes) {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Whether these bytes are the pinned ones.
///
/// # Errors
/// When their sum is another.
pub fn check(path: &Path, bytes: &[u8], expected: &str) -> Result<(), Failure> {
    let found = sha256(bytes);
    if found.eq_ignore_ascii_case(expected) {
        return Ok(());
    }
    let message = format!(
        "the policy {} is not the one that is pinned: its SHA-256 is {found}, policy.sha256 is {expected}",
        path.display()
    );
    Err(Failure::new(FailureKind::Denied, message)
        .with_hint("put the reviewed file back, or pin the new one in the configuration of both sites"))
}

/// The same for a file, which may be reached by another path than the one people know.
///
/// # Errors
/// When it cannot be read, or its sum is another.
pub fn check_file(path: &Path, reached: &Path, expected: &str) -> Result<(), Failure> {
    let bytes = std::fs::read(reached).map_err(|error| {
        let message = format!("the policy {} cannot be read: {error}", path.display());
        Failure::new(FailureKind::Load, message)
    })?;
    check(path, &bytes, expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_another_sum_is_denied_with_both_sums() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(sha256(b""), empty);
        assert_eq!(check(Path::new("/x"), b"", &empty.to_uppercase()), Ok(()));
        let failure = check(Path::new("/x"), b"changed", empty).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Denied);
        assert!(
            failure.message.contains(empty) && failure.message.contains(&sha256(b"changed")),
            "{failure}"
        );
    }
}
