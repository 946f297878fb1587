//! The first line of an SSH server, watched as it passes by; pure.
//!
//! The library waits for a server of its own version until the deadline, whatever else the other end says. An old
//! server has said all it will say then, and an operator should hear of that at once.

/// Most bytes before the greeting: banners are allowed there, and one of this length never ends.
const BEFORE_BYTES_MAX: usize = 64 << 10;
/// Longest greeting, and most bytes of one that are shown.
const LINE_BYTES_MAX: usize = 255;
const SHOWN_CHARACTERS_MAX: usize = 80;
/// What a server of this version begins with; the second speaks both.
const SPOKEN: [&str; 2] = ["SSH-2.0-", "SSH-1.99-"];
const ANY: &str = "SSH-";

/// What has been heard of the greeting.
#[derive(Debug, Default)]
pub(super) struct Greeting {
    /// The line that has begun, without what is too long of it.
    line: Vec<u8>,
    /// Bytes of lines that were none.
    before: usize,
    is_over: bool,
}

impl Greeting {
    /// Takes what the server said next.
    ///
    /// # Errors
    /// Why no handshake can follow, once that is known.
    pub(super) fn heard(&mut self, bytes: &[u8]) -> Result<(), String> {
        if self.is_over {
            return Ok(());
        }
        for &byte in bytes {
            if byte != b'\n' {
                self.before += 1;
                if self.line.len() < LINE_BYTES_MAX {
                    self.line.push(byte);
                }
            } else if self.ends_with_greeting()? {
                self.is_over = true;
                self.line = Vec::new();
                return Ok(());
            }
            if self.before > BEFORE_BYTES_MAX {
                return Err(format!(
                    "the server talks and talks, and none of {BEFORE_BYTES_MAX} bytes is SSH"
                ));
            }
        }
        Ok(())
    }

    /// Whether the line that ends here is the greeting.
    fn ends_with_greeting(&mut self) -> Result<bool, String> {
        let line = String::from_utf8_lossy(&self.line).into_owned();
        self.line.clear();
        if SPOKEN.iter().any(|spoken| line.starts_with(spoken)) {
            return Ok(true);
        }
        if line.starts_with(ANY) {
            let clean = line.trim_end().chars().map(|c| if c.is_control() { ' ' } else { c });
            let shown: String = clean.take(SHOWN_CHARACTERS_MAX).collect();
            return Err(format!("the server greets with \"{shown}\", and only SSH 2.0 is spoken here"));
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(pieces: &[&str]) -> Result<(), String> {
        let mut greeting = Greeting::default();
        pieces.iter().try_for_each(|piece| greeting.heard(piece.as_bytes()))
    }

    #[test]
    fn a_server_of_another_version_is_told_with_what_it_said() {
        for pieces in [&["SSH-1.5-Cisco-1.25\n"][..], &["SSH-", "1.5-Cisco-1.25\r", "\nmore"]] {
            let why = heard(pieces).unwrap_err();
            assert!(why.contains("\"SSH-1.5-Cisco-1.25\"") && why.contains("only SSH 2.0"), "{why}");
        }
        let strange = heard(&["authorised use only\nSSH-3.0-\u{1b}[2J\n"]).unwrap_err();
        assert!(!strange.chars().any(char::is_control), "{strange}");
    }

    #[test]
    fn a_server_of_this_version_may_say_what_it_likes() {
        for greeting in
            ["SSH-2.0-OpenSSH_9.2\r\n", "SSH-1.99-old\n", "a banner\nSSH-2.0-x\r\nSSH-1.5-no greeting\n"]
        {
            assert_eq!(heard(&[greeting, "SSH-1.5-x\n"]), Ok(()), "{greeting}");
        }
        assert_eq!(heard(&["SSH-1.5"]), Ok(()), "the line is not over");
    }

    #[test]
    fn talk_without_end_is_no_greeting() {
        let line = "blah\n".repeat(1_000);
        let mut greeting = Greeting::default();
        let ends = (0..100).find_map(|_| greeting.heard(line.as_bytes()).err());
        assert!(ends.unwrap().contains("talks and talks"));
        let mut greeting = Greeting::default();
        let ends = (0..100).find_map(|_| greeting.heard("x".repeat(1_000).as_bytes()).err());
        assert!(ends.is_some() && greeting.line.len() <= LINE_BYTES_MAX);
    }
}
