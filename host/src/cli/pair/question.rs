//! Questions to the person at the terminal.

use std::io::{self, IsTerminal as _, Write as _};

/// Whether a person can be asked.
pub(in crate::cli) fn can_ask() -> bool {
    io::stdin().is_terminal()
}

/// Asks for one line; `None` where no answer came.
pub(in crate::cli) fn line(question: &str) -> Option<String> {
    let mut out = io::stdout();
    // Without the question on the screen no answer can be right.
    write!(out, "{question}").and_then(|()| out.flush()).ok()?;
    let mut answer = String::new();
    match io::stdin().read_line(&mut answer) {
        Ok(1..) => Some(answer.trim().to_owned()),
        Ok(0) | Err(_) => None,
    }
}

/// Whether the person writes exactly this word.
pub(in crate::cli) fn is_written(question: &str, word: &str) -> bool {
    line(question).is_some_and(|answer| answer == word)
}
