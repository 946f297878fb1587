//! Where the checks put what they find: errors and warnings of one file.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::error::{ConfigError, ConfigErrors, at};

/// Most errors that are kept: a file with more is no configuration.
const ERRORS_MAX: usize = 200;

/// What lies around a configuration and is looked at while it is read. Tests put something else there.
pub trait Surroundings {
    /// The content of a file, at most `bytes_max` of it.
    ///
    /// # Errors
    /// When it cannot be read or is longer.
    fn read(&self, path: &Path, bytes_max: u64) -> io::Result<Vec<u8>>;
    /// Permission bits of a file; `None` where there is none.
    fn mode(&self, path: &Path) -> Option<u32>;
    /// A variable of the environment; `None` where it is not set or no text.
    fn variable(&self, name: &str) -> Option<String>;
}

/// This machine.
#[derive(Debug, Clone, Copy)]
pub struct Machine;

impl Surroundings for Machine {
    fn read(&self, path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
        use std::io::Read;
        let mut bytes = Vec::new();
        std::fs::File::open(path)?.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > bytes_max {
            return Err(io::Error::other(format!("longer than the limit of {bytes_max} bytes")));
        }
        Ok(bytes)
    }

    fn mode(&self, path: &Path) -> Option<u32> {
        use std::os::unix::fs::PermissionsExt;
        std::fs::metadata(path).ok().map(|metadata| metadata.permissions().mode() & 0o7777)
    }

    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}

/// Everything found so far.
pub(super) struct Report<'a> {
    file: String,
    around: &'a dyn Surroundings,
    errors: RefCell<Vec<ConfigError>>,
    warnings: RefCell<Vec<(usize, String)>>,
}

impl fmt::Debug for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Report")
            .field("file", &self.file)
            .field("errors", &self.errors)
            .finish_non_exhaustive()
    }
}

impl<'a> Report<'a> {
    pub(super) fn new(file: &str, around: &'a dyn Surroundings) -> Self {
        Self { file: file.to_owned(), around, errors: RefCell::default(), warnings: RefCell::default() }
    }

    /// What lies around the file.
    pub(super) const fn around(&self) -> &'a dyn Surroundings {
        self.around
    }

    /// A path as the file means it: a relative one begins at the folder of the file.
    pub(super) fn resolved(&self, path: &str) -> PathBuf {
        Path::new(&self.file).parent().unwrap_or(Path::new("")).join(path)
    }

    pub(super) fn error(
        &self,
        line: usize,
        key: &str,
        found: String,
        expected: String,
        hint: Option<String>,
    ) {
        let mut errors = self.errors.borrow_mut();
        if errors.len() < ERRORS_MAX {
            let (file, key) = (self.file.clone(), key.to_owned());
            errors.push(ConfigError { file, line: Some(line), key, found, expected, hint });
        }
    }

    /// Whether one of these keys is known to be wrong: a relation to it would only blame the other key.
    pub(super) fn is_any_wrong(&self, keys: &[&str]) -> bool {
        self.errors.borrow().iter().any(|error| keys.contains(&error.key.as_str()))
    }

    pub(super) fn warn(&self, line: usize, key: &str, text: &str) {
        let warning = format!("{}{text}", at(&self.file, Some(line), key));
        self.warnings.borrow_mut().push((line, warning));
    }

    /// Takes note of a secret in the file itself: its permissions matter then.
    pub(super) fn secret_inline(&self, line: usize, key: &str) {
        if let Some(mode) = self.around.mode(Path::new(&self.file)).filter(|mode| mode & 0o004 != 0) {
            let text = format!("a secret stands in this file and every user can read it (mode {mode:04o})");
            self.warn(line, key, &format!("{text}; run `chmod o-rwx`, or use {{ file = … }}"));
        }
    }

    /// The warnings, or all errors; both in the order of the file.
    pub(super) fn finish(self) -> Result<Vec<String>, ConfigErrors> {
        let mut errors = self.errors.into_inner();
        if !errors.is_empty() {
            errors.sort_by_key(|error| error.line);
            return Err(ConfigErrors { errors, unreadable: false });
        }
        let mut warnings = self.warnings.into_inner();
        warnings.sort_by_key(|(line, _)| *line);
        Ok(warnings.into_iter().map(|(_, text)| text).collect())
    }
}
