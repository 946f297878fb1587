//! `lua/dr.lua` is what the types say. `DRW_UPDATE=1 cargo test --test lua_types` writes it anew.
#![allow(clippy::unwrap_used, reason = "what a test calls is outside of what the lint exempts")]

use std::fs;
use std::path::Path;

use dr_watchdog_sdk::lua_types::{FILE_NAME, types};

#[test]
fn the_file_is_what_the_types_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("lua").join(FILE_NAME);
    if std::env::var_os("DRW_UPDATE").is_some() {
        fs::write(&path, types()).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(found == types(), "{} is stale: run DRW_UPDATE=1 cargo test --test lua_types", path.display());
}
