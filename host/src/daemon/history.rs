//! The history: append-only, one JSON object a line, numbered.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

/// Size at which the file is put aside as `history.jsonl.1`: about 6,000 decisions with 50 arbiters each.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// Longest record that is read back; a longer line is no record of ours.
const LINE_BYTES_MAX: u64 = 16 << 20;
/// From the end of the file so many bytes are searched for the last number.
const TAIL_BYTES: u64 = 16 << 20;
/// In so many bytes of a line its kind stands.
const KIND_BYTES: usize = 64;

/// Why a record was not written.
#[derive(Debug, thiserror::Error)]
#[error("the history {} could not be {doing}", .path.display())]
pub struct HistoryError {
    path: PathBuf,
    doing: &'static str,
    #[source]
    source: io::Error,
}

/// The open history.
#[derive(Debug)]
pub struct History {
    path: PathBuf,
    file: File,
    last_id: u64,
    bytes: u64,
    /// Whether the last line has no end: a power loss or a full disk cut it off.
    is_cut_off: bool,
}

impl History {
    /// Opens the history for appending.
    ///
    /// # Errors
    /// When the file cannot be opened or read.
    pub fn open(path: &Path) -> Result<Self, HistoryError> {
        let failed = |doing| move |source| HistoryError { path: path.to_owned(), doing, source };
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true).mode(0o600);
        let mut file = options.open(path).map_err(failed("opened"))?;
        let bytes = file.metadata().map_err(failed("read"))?.len();
        let tail = tail(&mut file, bytes).map_err(failed("read"))?;
        let mut last_id = last_id(&tail);
        if last_id == 0 && bytes == 0 {
            last_id = records(&rotated(path), 0).ok().and_then(|all| all.last().map(id_of)).unwrap_or(0);
        }
        let is_cut_off = !tail.is_empty() && !tail.ends_with(b"\n");
        Ok(Self { path: path.to_owned(), file, last_id, bytes, is_cut_off })
    }

    /// Appends a record; its number.
    ///
    /// # Errors
    /// When it could not be written whole.
    pub fn append(&mut self, record: Map<String, Value>) -> Result<u64, HistoryError> {
        let path = self.path.clone();
        let failed = |doing| move |source| HistoryError { path, doing, source };
        if self.bytes > FILE_BYTES_MAX {
            self.rotate()?;
        }
        let id = self.last_id + 1;
        let mut numbered = Map::from_iter([("id".to_owned(), json!(id))]);
        numbered.extend(record);
        // A line that was cut off is closed first, so that it spoils no other.
        let mut line = if self.is_cut_off { "\n".to_owned() } else { String::new() };
        line += &Value::Object(numbered).to_string();
        line.push('\n');
        // One write, so that a reader never sees half a line while the disk has room; half a line is taken back.
        if let Err(error) = self.file.write_all(line.as_bytes()) {
            self.is_cut_off |= self.file.set_len(self.bytes).is_err();
            return Err(failed("written")(error));
        }
        self.is_cut_off = false;
        self.last_id = id;
        self.bytes += line.len() as u64;
        Ok(id)
    }

    fn rotate(&mut self) -> Result<(), HistoryError> {
        let failed = |doing| {
            let path = self.path.clone();
            move |source| HistoryError { path, doing, source }
        };
        fs::rename(&self.path, rotated(&self.path)).map_err(failed("put aside"))?;
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true).mode(0o600);
        self.file = options.open(&self.path).map_err(failed("opened"))?;
        self.bytes = 0;
        self.is_cut_off = false;
        Ok(())
    }
}

fn rotated(path: &Path) -> PathBuf {
    path.with_extension("jsonl.1")
}

fn tail(file: &mut File, bytes: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(bytes.saturating_sub(TAIL_BYTES)))?;
    let mut tail = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut tail)?;
    Ok(tail)
}

fn last_id(tail: &[u8]) -> u64 {
    tail.rsplit(|byte| *byte == b'\n')
        .find_map(|line| serde_json::from_slice::<Value>(line).ok())
        .map_or(0, |record| id_of(&record))
}

/// The number of a record; 0 if it has none.
pub fn id_of(record: &Value) -> u64 {
    record.get("id").and_then(Value::as_u64).unwrap_or(0)
}

/// The newest records, oldest first; `most` = 0 returns all. Lines that are no records (cut off by a power loss) are
/// passed over: a reader must not fail where the writer recovered.
///
/// # Errors
/// When the file cannot be read; a history that does not exist yet is empty.
pub fn records(path: &Path, most: usize) -> io::Result<Vec<Value>> {
    let mut found = std::collections::VecDeque::new();
    for file in [rotated(path), path.to_owned()] {
        let file = match File::open(file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            opened => opened?,
        };
        let mut reader = BufReader::new(file);
        let mut line = Vec::new();
        while reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line)? > 0 {
            if let Ok(record @ Value::Object(_)) = serde_json::from_slice(&line) {
                found.push_back(record);
                if most > 0 && found.len() > most {
                    found.pop_front();
                }
            }
            line.clear();
        }
    }
    Ok(found.into())
}

/// The newest records of one kind, oldest first, as far as they stand in the last part of the file. Only lines of
/// that kind are read as JSON, so that a start is not delayed by decisions of megabytes.
///
/// # Errors
/// When the file cannot be read; a history that does not exist yet has none.
pub fn newest_of(path: &Path, kind: &str) -> io::Result<Vec<Value>> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        opened => opened?,
    };
    let bytes = file.metadata()?.len();
    let tail = tail(&mut file, bytes)?;
    let mark = format!("\"kind\":\"{kind}\"");
    // The kind stands right after the number.
    let begins =
        |line: &&[u8]| line[..line.len().min(KIND_BYTES)].windows(mark.len()).any(|w| w == mark.as_bytes());
    let lines = tail.split(|byte| *byte == b'\n').filter(begins);
    Ok(lines.filter_map(|line| serde_json::from_slice(line).ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(text: &str) -> Map<String, Value> {
        Map::from_iter([("text".to_owned(), json!(text))])
    }

    #[test]
    fn records_are_numbered_on_and_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.jsonl");
        assert!(records(&path, 0).unwrap().is_empty());
        let mut history = History::open(&path).unwrap();
        assert_eq!(history.append(record("a")).unwrap(), 1);
        assert_eq!(history.append(record("b")).unwrap(), 2);
        drop(history);
        let mut history = History::open(&path).unwrap();
        assert_eq!(history.append(record("c")).unwrap(), 3);
        let all = records(&path, 0).unwrap();
        assert_eq!(all.iter().map(id_of).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(records(&path, 1).unwrap()[0]["text"], "c");
    }

    #[test]
    fn a_line_that_was_cut_off_spoils_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.jsonl");
        History::open(&path).unwrap().append(record("a")).unwrap();
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"id\":2,\"te").unwrap();
        drop(file);
        assert_eq!(History::open(&path).unwrap().append(record("b")).unwrap(), 2);
        let all = records(&path, 0).unwrap();
        assert_eq!(all.len(), 2);
        assert_eq!(all[1]["text"], "b");
    }

    #[test]
    fn the_newest_of_a_kind_are_found_among_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.jsonl");
        assert!(newest_of(&path, "step").unwrap().is_empty());
        let mut history = History::open(&path).unwrap();
        for (kind, text) in [("step", "a"), ("decision", "\"kind\":\"step\""), ("step", "b")] {
            let mut record = Map::from_iter([("kind".to_owned(), json!(kind))]);
            record.insert("text".to_owned(), json!(text));
            history.append(record).unwrap();
        }
        let found = newest_of(&path, "step").unwrap();
        assert_eq!(
            found.iter().map(|record| record["text"].as_str().unwrap()).collect::<Vec<_>>(),
            ["a", "b"]
        );
    }

    #[test]
    fn a_full_file_is_put_aside_and_the_numbers_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.jsonl");
        let mut history = History::open(&path).unwrap();
        history.append(record("a")).unwrap();
        history.bytes = FILE_BYTES_MAX + 1;
        assert_eq!(history.append(record("b")).unwrap(), 2);
        assert_eq!(records(&path, 0).unwrap().len(), 2);
        assert!(rotated(&path).exists());
    }
}
