//! Text for whatever people look at: narrow or wide, with colour or without, with or without UTF-8.

use std::borrow::Cow;
use std::io::IsTerminal as _;

use anstyle::{AnsiColor, Style};
use rustix::termios::tcgetwinsize;

/// Narrower than this, a row's name stands on a line of its own.
const NARROW: usize = 60;
/// No text is broken more narrowly than this.
const WIDTH_MIN: usize = 20;
/// A terminal that does not tell its size has what terminals have had for fifty years.
const COLUMNS_USUAL: usize = 80;
const ROWS_USUAL: usize = 24;
/// Columns of a row's name.
const NAME_COLUMNS: usize = 20;

/// What the text is shown on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Columns of the terminal; `None` where there is none, and no line is broken then.
    pub columns: Option<usize>,
    /// Lines of the terminal.
    pub rows: Option<usize>,
    /// Whether it shows UTF-8.
    pub is_utf8: bool,
}

impl Look {
    /// What standard output is.
    pub fn of_stdout() -> Self {
        let stdout = std::io::stdout();
        // A serial line does not tell its size.
        let given = |told: u16, usual: usize| if told > 0 { usize::from(told) } else { usual };
        let size = tcgetwinsize(&stdout).ok().filter(|_| stdout.is_terminal());
        let is_utf8 = is_utf8(|name| std::env::var(name).ok());
        Self {
            columns: size.map(|size| given(size.ws_col, COLUMNS_USUAL)),
            rows: size.map(|size| given(size.ws_row, ROWS_USUAL)),
            is_utf8,
        }
    }
}

/// The first of these that is set decides, as in every program of the system.
fn is_utf8(variable: impl Fn(&str) -> Option<String>) -> bool {
    let set =
        ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(|name| variable(name).filter(|v| !v.is_empty()));
    set.is_some_and(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

/// How a row is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// As it is.
    Plain,
    /// All is well.
    Good,
    /// Look at it.
    Warning,
    /// Do something.
    Bad,
    /// Less important.
    Faint,
}

/// A page of rows.
#[derive(Debug)]
pub struct Page {
    look: Look,
    lines: Vec<String>,
}

impl Page {
    /// An empty page.
    pub const fn new(look: Look) -> Self {
        Self { look, lines: Vec::new() }
    }

    /// A line of its own.
    pub fn line(&mut self, tone: Tone, text: &str) {
        self.add(tone, "", "", text);
    }

    /// A row with its name in the first column; without a name it goes on with the row above.
    pub fn row(&mut self, name: &str, tone: Tone, text: &str) {
        let is_narrow = self.look.columns.is_some_and(|columns| columns < NARROW);
        if is_narrow {
            if !name.is_empty() {
                self.add(Tone::Faint, "", "", &format!("{name}:"));
            }
            self.add(tone, "  ", "  ", text);
        } else {
            let blank = " ".repeat(NAME_COLUMNS + 2);
            self.add(tone, &format!("  {name:<NAME_COLUMNS$}"), &blank, text);
        }
    }

    /// An item of a list, with a mark before it.
    pub fn item(&mut self, mark: &str, tone: Tone, text: &str) {
        let first = format!("  {mark} ");
        let blank = " ".repeat(first.chars().count());
        self.add(tone, &first, &blank, text);
    }

    fn add(&mut self, tone: Tone, first: &str, next: &str, text: &str) {
        let text = if self.look.is_utf8 { printable(text) } else { ascii(text) };
        let first = if self.look.is_utf8 { first.to_owned() } else { ascii(first) };
        let style = match tone {
            Tone::Plain => Style::new(),
            Tone::Good => Style::new().fg_color(Some(AnsiColor::Green.into())),
            Tone::Warning => Style::new().fg_color(Some(AnsiColor::Yellow.into())),
            Tone::Bad => Style::new().fg_color(Some(AnsiColor::Red.into())).bold(),
            Tone::Faint => Style::new().dimmed(),
        };
        let room = self.look.columns.map(|columns| {
            columns.saturating_sub(first.chars().count().max(next.chars().count())).max(WIDTH_MIN)
        });
        for (number, part) in broken(&text, room).into_iter().enumerate() {
            let before = if number == 0 { first.as_str() } else { next };
            self.lines.push(format!("{before}{style}{part}{style:#}"));
        }
    }

    /// Its lines, with the escapes that colour them.
    pub fn into_lines(self) -> Vec<String> {
        self.lines
    }
}

/// The text in lines of at most so many columns, broken between words where that is possible.
fn broken(text: &str, room: Option<usize>) -> Vec<String> {
    let Some(room) = room else { return vec![text.to_owned()] };
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let mut word = word;
        loop {
            let last = lines.len() - 1;
            let used = lines[last].chars().count();
            let blank = usize::from(used > 0);
            let chars = word.chars().count();
            if used + blank + chars <= room {
                lines[last].push_str(if blank > 0 { " " } else { "" });
                lines[last].push_str(word);
                break;
            }
            if used == 0 {
                // No line holds it whole.
                let at = word.char_indices().nth(room).map_or(word.len(), |(at, _)| at);
                lines[last].push_str(&word[..at]);
                word = &word[at..];
            }
            lines.push(String::new());
        }
    }
    lines
}

/// Without control characters: what a policy or another site said must not move our cursor.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn ascii(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match spelled(c) {
            Some(spelled) => plain.push_str(spelled),
            None if c.is_control() => plain.push(' '),
            None => plain.push(if c.is_ascii() { c } else { '?' }),
        }
    }
    plain
}

/// How a sign of ours is written where there is only ASCII.
const fn spelled(c: char) -> Option<&'static str> {
    Some(match c {
        '→' => "->",
        '…' => "...",
        '–' | '—' | '·' | '─' | '╌' | '┄' => "-",
        '×' => "x",
        '≤' => "<=",
        '≥' => ">=",
        '═' => "=",
        '│' | '┆' => "|",
        '┌' | '┐' | '└' | '┘' | '├' | '┤' | '┬' | '┴' | '┼' | '╞' | '╡' | '╪' => "+",
        _ => return None,
    })
}

/// A text as the locale can show it, its colours and lines kept. What is not of us stays whole where a program reads.
pub fn shown(text: &str) -> Cow<'_, str> {
    if text.is_ascii() || is_utf8(|name| std::env::var(name).ok()) {
        return Cow::Borrowed(text);
    }
    let is_terminal = std::io::stdout().is_terminal();
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match spelled(c) {
            Some(spelled) => plain.push_str(spelled),
            None => plain.push(if c.is_ascii() || !is_terminal { c } else { '?' }),
        }
    }
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(columns: Option<usize>, is_utf8: bool) -> Page {
        Page::new(Look { columns, rows: None, is_utf8 })
    }

    fn plain(page: Page) -> Vec<String> {
        page.into_lines().iter().map(|line| anstream::adapter::strip_str(line).to_string()).collect()
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for columns in [20, 40, 59, 60, 80, 200] {
            let mut page = page(Some(columns), true);
            page.line(Tone::Good, "a headline that is longer than forty columns for sure");
            page.row("automatic failover", Tone::Plain, &"words and words ".repeat(9));
            page.row("", Tone::Plain, &"x".repeat(130));
            page.item("!", Tone::Bad, &"trouble → ".repeat(12));
            for line in plain(page) {
                let most = columns.max(WIDTH_MIN + 4);
                assert!(line.chars().count() <= most, "{columns}: {line:?}");
            }
        }
    }

    #[test]
    fn without_a_terminal_a_row_is_one_line() {
        let mut page = page(None, true);
        page.row("other site", Tone::Plain, &"word ".repeat(100));
        assert_eq!(plain(page).len(), 1);
    }

    #[test]
    fn without_utf_8_everything_is_ascii_and_no_escape_passes() {
        let mut page = page(Some(80), false);
        page.item("→", Tone::Plain, "a → b … ≥ ü \u{1b}[2J");
        let lines = plain(page);
        assert!(lines.iter().all(|line| line.is_ascii()), "{lines:?}");
        assert_eq!(lines[0], "  -> a -> b ... >= ?  [2J");
    }

    #[test]
    fn the_first_variable_that_is_set_says_whether_it_is_utf_8() {
        let with = |set: &'static [(&str, &str)]| {
            is_utf8(|name| set.iter().find(|(known, _)| *known == name).map(|(_, v)| (*v).to_owned()))
        };
        assert!(with(&[("LANG", "de_DE.UTF-8")]));
        assert!(!with(&[("LC_ALL", "C"), ("LANG", "de_DE.UTF-8")]));
        assert!(with(&[("LC_ALL", ""), ("LC_CTYPE", "C.utf8")]));
        assert!(!with(&[]));
    }
}
