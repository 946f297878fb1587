//! `simulate --replay`: a watchdog's journal against the decision of this program.

use std::fs;
use std::path::Path;

use dr_watchdog_sim::replay::{ReplayError, Replayed, replay as play};
use serde_json::json;

use super::{exit, output};

/// Largest journal that is read: a daemon writes at most 64 MiB, and one more line.
const FILE_BYTES_MAX: u64 = 80 << 20;

/// Plays the journal; 1 where the decision differs.
pub(super) fn replay(file: &Path, is_json: bool) -> Result<u8, String> {
    let told = |error: std::io::Error| format!("{}: {error}", file.display());
    let bytes = fs::metadata(file).map_err(told)?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(format!("{}: {bytes} bytes, at most {FILE_BYTES_MAX}", file.display()));
    }
    let text = fs::read_to_string(file).map_err(told)?;
    match play(text.lines()) {
        Ok(replayed) => {
            same(&replayed, is_json);
            Ok(exit::OK)
        }
        Err(error @ ReplayError::Different { .. }) => {
            different(file, &error, is_json);
            Ok(exit::FAILED)
        }
        Err(error) => Err(format!("{}: {}", file.display(), crate::config::chain(&error))),
    }
}

fn same(replayed: &Replayed, is_json: bool) {
    let Replayed { version, events, effects, is_full, is_cut } = replayed;
    if is_json {
        output::json(&json!({
            "type": "replay", "ok": true, "version": version, "events": events, "effects": effects,
            "full": is_full, "cut": is_cut, "difference": null,
        }));
        return;
    }
    output::line(&format!("{events} events, {effects} effects: identical (journal of version {version})"));
    if *is_full {
        output::line("the journal was full before its watchdog ended");
    }
    if *is_cut {
        output::line("its last line is cut off, as after a power loss; all before it was compared");
    }
}

fn different(file: &Path, error: &ReplayError, is_json: bool) {
    if is_json {
        output::json(&json!({"type": "replay", "ok": false, "difference": error.to_string()}));
    } else {
        output::line(&format!("{}: {error}", file.display()));
    }
}
