//! The queue: every mail is on disk before it counts as written, and stays there until the server has taken it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::message::Message;
use crate::durable_file;

/// Mails that wait at most; then the oldest that tells no role change gives way.
pub const QUEUE_MAX: usize = 1_000;
/// A mail is a few thousand bytes; what is longer is none.
const MAIL_BYTES_MAX: u64 = 64 << 10;
/// How its files end.
const ENDING: &str = "mail";

/// A mail that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mail {
    /// What is sent.
    pub message: Message,
    /// Who has not got it yet.
    pub recipients: Vec<String>,
    /// Whether it tells a change of role.
    pub is_role_change: bool,
    /// Whether it ends an episode.
    #[serde(default)]
    pub is_end: bool,
    /// The same in every try, so that a second copy is known as one.
    pub message_id: String,
}

/// The mails that wait, oldest first.
#[derive(Debug)]
pub struct Queue {
    folder: PathBuf,
    mails: BTreeMap<u64, Mail>,
    last: u64,
}

impl Queue {
    /// The queue in this folder, with what waits there. What cannot be read is left alone and named; where the folder
    /// cannot be used at all, the mails wait in memory.
    pub fn open(folder: &Path) -> (Self, Vec<String>) {
        let mut queue = Self::empty(folder);
        let mut complaints = Vec::new();
        if let Err(error) = queue.load(&mut complaints) {
            complaints.push(format!("{}: {error}", folder.display()));
        }
        (queue, complaints)
    }

    /// A queue in which nothing waits; its folder is not touched.
    pub fn empty(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), mails: BTreeMap::new(), last: 0 }
    }

    fn load(&mut self, complaints: &mut Vec<String>) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let Some(number) = number(&path) else { continue };
            self.last = self.last.max(number);
            match read(&path) {
                Ok(mail) => drop(self.mails.insert(number, mail)),
                Err(error) => complaints.push(format!("{}: {error}", path.display())),
            }
        }
        Ok(())
    }

    /// Adds a mail; when this returns without an error, it is on disk. One that could not be written waits in memory:
    /// the mail that says "the disk is full" must not be the one that is lost. A mail that had to give way is returned.
    ///
    /// # Errors
    /// When it is only in memory.
    pub fn put(&mut self, mail: Mail) -> (Option<Mail>, io::Result<()>) {
        let dropped = if self.mails.len() >= QUEUE_MAX { self.give_way() } else { None };
        self.last += 1;
        let written = self.write(self.last, &mail);
        self.mails.insert(self.last, mail);
        (dropped, written)
    }

    fn give_way(&mut self) -> Option<Mail> {
        let ordinary = self.mails.iter().find(|(_, mail)| !mail.is_role_change).map(|(number, _)| *number);
        let number = ordinary.or_else(|| self.mails.keys().next().copied())?;
        let mail = self.mails.remove(&number)?;
        // A file that cannot be removed is sent after a restart; that is a copy too many, not one too few.
        let _ = fs::remove_file(self.path(number));
        Some(mail)
    }

    /// Takes what became of a mail: it goes when nobody waits for it any more.
    ///
    /// # Errors
    /// When the disk does not follow; after a restart it would then be sent once more.
    pub fn update(&mut self, number: u64, recipients: Vec<String>) -> io::Result<()> {
        let Some(mail) = self.mails.get_mut(&number) else {
            // It had to give way while it was being sent.
            return Ok(());
        };
        if recipients.is_empty() {
            self.mails.remove(&number);
            return match fs::remove_file(self.path(number)) {
                // It was never written.
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                other => other,
            };
        }
        mail.recipients = recipients;
        let mail = mail.clone();
        self.write(number, &mail)
    }

    /// The number of the next mail.
    pub const fn next_number(&self) -> u64 {
        self.last + 1
    }

    /// Numbers of the mails that wait, oldest first.
    pub fn numbers(&self) -> Vec<u64> {
        self.mails.keys().copied().collect()
    }

    /// A mail that waits.
    pub fn get(&self, number: u64) -> Option<&Mail> {
        self.mails.get(&number)
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.mails.len()
    }

    fn path(&self, number: u64) -> PathBuf {
        // Fixed width, so that a listing shows them in order.
        self.folder.join(format!("{number:012}.{ENDING}"))
    }

    fn write(&self, number: u64, mail: &Mail) -> io::Result<()> {
        durable_file::write(&self.path(number), &serde_json::to_vec(mail)?)
    }
}

fn number(path: &Path) -> Option<u64> {
    if path.extension()? != ENDING {
        return None;
    }
    path.file_stem()?.to_str()?.parse().ok()
}

fn read(path: &Path) -> io::Result<Mail> {
    let bytes = durable_file::read(path, MAIL_BYTES_MAX)?;
    serde_json::from_slice(&bytes).map_err(|error| io::Error::other(format!("it holds no mail ({error})")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dr_watchdog_sdk::Utc;

    fn mail(subject: &str, is_role_change: bool) -> Mail {
        let message = Message {
            kind: "test".to_owned(),
            site: "a".to_owned(),
            time: Utc::from_unix_ms(0),
            subject: subject.to_owned(),
            body: "text\n".to_owned(),
        };
        let recipients = vec!["a@example.com".to_owned()];
        Mail { message, recipients, is_role_change, is_end: false, message_id: format!("<{subject}@a>") }
    }

    fn subjects(queue: &Queue) -> Vec<String> {
        queue.numbers().iter().map(|n| queue.get(*n).unwrap().message.subject.clone()).collect()
    }

    #[test]
    fn what_waits_is_there_after_a_restart_in_its_order() {
        let folder = tempfile::tempdir().unwrap();
        let (mut queue, _) = Queue::open(folder.path());
        for subject in ["1", "2", "3"] {
            queue.put(mail(subject, false)).1.unwrap();
        }
        queue.update(2, Vec::new()).unwrap();
        let (queue, complaints) = Queue::open(folder.path());
        assert_eq!(subjects(&queue), ["1", "3"]);
        assert!(complaints.is_empty());
        assert_eq!(queue.last, 3);
    }

    #[test]
    fn a_write_that_was_cut_off_costs_no_other_mail() {
        let folder = tempfile::tempdir().unwrap();
        let (mut queue, _) = Queue::open(folder.path());
        queue.put(mail("1", false)).1.unwrap();
        fs::write(folder.path().join("000000000002.mail"), "{\"mess").unwrap();
        fs::write(folder.path().join("000000000003.tmp"), "{\"mess").unwrap();
        let (mut queue, complaints) = Queue::open(folder.path());
        assert_eq!((subjects(&queue), complaints.len()), (vec!["1".to_owned()], 1), "{complaints:?}");
        queue.put(mail("2", false)).1.unwrap();
        assert_eq!(queue.numbers(), [1, 3], "the number of the damaged file is not used again");
    }

    #[test]
    fn a_full_queue_keeps_the_role_changes() {
        let folder = tempfile::tempdir().unwrap();
        let (mut queue, _) = Queue::open(folder.path());
        queue.put(mail("role", true)).1.unwrap();
        for number in 1..QUEUE_MAX {
            queue.mails.insert(number as u64 + 1, mail(&number.to_string(), false));
        }
        queue.last = QUEUE_MAX as u64;
        let (dropped, written) = queue.put(mail("new", false));
        written.unwrap();
        assert_eq!(dropped.unwrap().message.subject, "1");
        assert_eq!((queue.waiting(), subjects(&queue)[0].as_str()), (QUEUE_MAX, "role"));
    }

    #[test]
    fn a_mail_that_cannot_be_written_waits_in_memory() {
        let folder = tempfile::tempdir().unwrap();
        let (mut queue, _) = Queue::open(&folder.path().join("mail"));
        fs::remove_dir(folder.path().join("mail")).unwrap();
        assert!(queue.put(mail("1", false)).1.is_err());
        assert_eq!(subjects(&queue), ["1"]);
        queue.update(1, Vec::new()).unwrap();
        assert_eq!(queue.waiting(), 0);
    }
}
