//! The source of a Lua policy: read by the host, because its folder may be closed to the guest.

use super::{Failure, FailureKind, PolicySpec, pin};

/// Longest source of a Lua policy.
const SOURCE_BYTES_MAX: u64 = 4 << 20;

/// The source, which is UTF-8, no longer than it may be, and the pinned one.
pub(super) fn read(spec: &PolicySpec) -> Result<String, Failure> {
    let path = spec.path.display();
    let failed =
        |why: String| Failure::new(FailureKind::Load, format!("the policy {path} cannot be read: {why}"));
    let length = spec.path.metadata().map_err(|error| failed(error.to_string()))?.len();
    if length > SOURCE_BYTES_MAX {
        return Err(failed(format!("it has {length} bytes, more than {SOURCE_BYTES_MAX}")));
    }
    let bytes = std::fs::read(&spec.path).map_err(|error| failed(error.to_string()))?;
    if let Some(expected) = &spec.terms.sha256 {
        pin::check(&spec.path, &bytes, expected)?;
    }
    String::from_utf8(bytes).map_err(|_| {
        failed("it is not UTF-8 text".to_owned())
            .with_hint("a Lua policy is source text; compiled chunks are not run")
    })
}
