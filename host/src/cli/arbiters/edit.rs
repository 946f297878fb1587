//! The configuration file, changed by the program: comments stay, and what would not load is not written.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use toml_edit::{ArrayOfTables, DocumentMut, InlineTable, Item, Table, TableLike, Value};

use super::records::Record;
use crate::config::{self, Machine};

/// Tables on the way to the arbiters.
const WAY: [&str; 2] = ["watchdog", "failureDetection"];
const LIST: &str = "arbiters";
const SSH_PORT: u16 = 22;

/// Why the file was not changed.
#[derive(Debug, thiserror::Error)]
pub(super) enum EditError {
    /// It cannot be read, written or replaced.
    #[error("{0}")]
    File(String, #[source] std::io::Error),
    /// It is no TOML.
    #[error("it is no TOML")]
    Syntax(#[from] toml_edit::TomlError),
    /// A value cannot be written.
    #[error("{0}")]
    Value(String),
    /// Something stands where the arbiters belong.
    #[error("watchdog.failureDetection.arbiters is no list of tables")]
    Shape,
    /// The result would not load.
    #[error("with that change the configuration would not load, so nothing was written:\n{0}")]
    Refused(config::ConfigErrors),
}

/// Pins a host key for an arbiter by its position; takes the place of older pins.
///
/// # Errors
/// See [`EditError`]; nothing has changed then.
pub(super) fn pin(file: &Path, arbiter: usize, fingerprint: &str) -> Result<(), EditError> {
    change(file, |document| {
        let list = at_way(document)?.get_mut(LIST).ok_or(EditError::Shape)?;
        let table: Option<&mut dyn TableLike> = match list {
            Item::ArrayOfTables(tables) => tables.get_mut(arbiter).map(|table| table as &mut dyn TableLike),
            Item::Value(Value::Array(array)) => array
                .get_mut(arbiter)
                .and_then(Value::as_inline_table_mut)
                .map(|table| table as &mut dyn TableLike),
            _ => None,
        };
        table.ok_or(EditError::Shape)?.insert("hostKey", toml_edit::value(fingerprint));
        Ok(())
    })
}

/// Adds arbiters behind those that are there.
///
/// # Errors
/// See [`EditError`]; nothing has changed then.
pub(super) fn add(file: &Path, records: &[Record]) -> Result<(), AddError> {
    let mut there = 0;
    let added = change(file, |document| {
        let below = at_way(document)?;
        there = below.get(LIST).map_or(0, length);
        match below.entry(LIST).or_insert(Item::ArrayOfTables(ArrayOfTables::new())) {
            Item::ArrayOfTables(tables) => records.iter().for_each(|record| tables.push(table(record))),
            Item::Value(Value::Array(array)) => {
                let inline = |record: &Record| table(record).into_inline_table();
                records
                    .iter()
                    .for_each(|record| array.push_formatted(Value::InlineTable(spaced(inline(record)))));
            }
            _ => return Err(EditError::Shape),
        }
        Ok(())
    });
    added.map_err(|error| AddError { there, error })
}

fn length(list: &Item) -> usize {
    match list {
        Item::ArrayOfTables(tables) => tables.len(),
        Item::Value(Value::Array(array)) => array.len(),
        _ => 0,
    }
}

/// Why no arbiter was added.
#[derive(Debug)]
pub(super) struct AddError {
    /// So many arbiters were there before.
    pub(super) there: usize,
    /// What went wrong.
    pub(super) error: EditError,
}

impl AddError {
    /// The record that a key of the configuration would have come from, with the key's own name.
    pub(super) fn origin<'a>(&self, key: &'a str) -> Option<(usize, &'a str)> {
        let rest = key.strip_prefix("watchdog.failureDetection.arbiters.")?;
        let (position, name) = rest.split_once('.').unwrap_or((rest, ""));
        Some((position.parse::<usize>().ok()?.checked_sub(self.there)?, name))
    }
}

fn spaced(mut table: InlineTable) -> InlineTable {
    table.fmt();
    table.decor_mut().set_prefix("\n  ");
    table
}

fn table(record: &Record) -> Table {
    let mut table = Table::new();
    let mut set = |key: &str, value: &str| drop(table.insert(key, toml_edit::value(value)));
    set("host", &record.host);
    set("username", &record.username);
    if let Some(password) = &record.password {
        set("password", password);
    }
    if let Some(key) = &record.private_key {
        set("privateKey", key);
    }
    if let Some(kind) = &record.kind {
        set("kind", kind);
    }
    if let Some(key) = &record.host_key {
        set("hostKey", key);
    }
    if record.port != SSH_PORT {
        table.insert("port", toml_edit::value(i64::from(record.port)));
    }
    table
}

fn at_way(document: &mut DocumentMut) -> Result<&mut dyn TableLike, EditError> {
    let mut below: &mut dyn TableLike = document.as_table_mut();
    for key in WAY {
        let mut implicit = Table::new();
        implicit.set_implicit(true);
        below =
            below.entry(key).or_insert(Item::Table(implicit)).as_table_like_mut().ok_or(EditError::Shape)?;
    }
    Ok(below)
}

/// Changes a file if the result loads; every comment stays.
///
/// # Errors
/// See [`EditError`]; nothing has changed then.
pub(super) fn change(
    file: &Path,
    edit: impl FnOnce(&mut DocumentMut) -> Result<(), EditError>,
) -> Result<(), EditError> {
    let (real, changed) = edited(file, edit)?;
    let what = format!("{} cannot be written", file.display());
    replace(&real, &changed).map_err(|error| EditError::File(what, error))
}

/// What a file would be after a change, if that loads.
pub(super) fn edited(
    file: &Path,
    edit: impl FnOnce(&mut DocumentMut) -> Result<(), EditError>,
) -> Result<(PathBuf, String), EditError> {
    let failed = |what: &str| {
        let what = format!("{} cannot be {what}", file.display());
        |error: std::io::Error| EditError::File(what, error)
    };
    // Behind a link stands the file that is meant; replacing the link would part the two.
    let real = file.canonicalize().map_err(failed("found"))?;
    let text = fs::read_to_string(&real).map_err(failed("read"))?;
    let mut document: DocumentMut = text.parse()?;
    edit(&mut document)?;
    let changed = document.to_string();
    config::load_text(&file.display().to_string(), &changed, &Machine).map_err(EditError::Refused)?;
    Ok((real, changed))
}

/// By rename, so that a crash leaves the old file or the new one; with the owner and the mode of the old one.
fn replace(file: &Path, text: &str) -> std::io::Result<()> {
    let about = fs::metadata(file)?;
    let folder = file.parent().unwrap_or(Path::new("/"));
    let mut new = tempfile::Builder::new().prefix(".dr-watchdog-").tempfile_in(folder)?;
    new.write_all(text.as_bytes())?;
    std::os::unix::fs::fchown(new.as_file(), Some(about.uid()), Some(about.gid()))?;
    new.as_file().set_permissions(fs::Permissions::from_mode(about.mode() & 0o7777))?;
    new.as_file().sync_all()?;
    new.persist(file)?;
    fs::File::open(folder)?.sync_all()
}
