//! The words of a mail: what happened, what was done, what may be done, how to see more.

use dr_watchdog_sdk::Utc;
use serde::{Deserialize, Serialize};

use super::damping::Due;
use super::kind::Kind;

/// Longest text of an alarm in a mail; a policy's description may be longer, and the history has it whole.
const TEXT_CHARS_MAX: usize = 2_000;
/// Width at which lines are broken: every mail program shows it, and a telephone wraps it by itself.
const LINE_CHARS: usize = 76;

/// Where a mail comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// `site.name`.
    pub site: String,
    /// Its role.
    pub role: String,
    /// Its epoch.
    pub epoch: u64,
    /// The record of the history that says more.
    pub record: Option<u64>,
}

/// A mail without its addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// The kind's word.
    pub kind: String,
    /// The site's name.
    pub site: String,
    /// When it was written.
    pub time: Utc,
    /// Subject line.
    pub subject: String,
    /// Plain text.
    pub body: String,
}

/// The mail about an alarm.
pub fn alarm(now: Utc, kind: Kind, text: &str, origin: &Origin, due: Due) -> Message {
    let about = kind.about();
    let mut body = paragraph("What happened", &format!("{}.", sentence(text)));
    if due.held_back > 0 {
        body += &paragraph(
            "Held back",
            &format!(
                "{} more of the same since {} (watchdog.notification.interval).",
                due.held_back, due.since
            ),
        );
    }
    body += &paragraph("What dr-watchdog did", about.done);
    body += &paragraph("What you may do", about.may);
    finish(now, kind, about.subject, body, origin)
}

/// The mail that ends an episode.
pub fn end(now: Utc, kind: Kind, text: &str, origin: &Origin, due: Due) -> Message {
    let about = kind.about();
    let mut body = paragraph("What happened", &format!("{}.", sentence(text)));
    body += &paragraph("What is over", &format!("Since {}: {}.", due.since, about.subject));
    if due.held_back > 0 {
        body += &paragraph("Held back", &format!("{} alarms of it were not mailed.", due.held_back));
    }
    body += &paragraph("What you may do", "Nothing; the trouble is over.");
    finish(now, kind, about.over, body, origin)
}

fn finish(now: Utc, kind: Kind, subject: &str, mut body: String, origin: &Origin) -> Message {
    let site = one_line(&origin.site);
    let more = match origin.record {
        Some(record) => format!("`dr-watchdog explain {record}` and `dr-watchdog health` at site {site}."),
        None => format!("`dr-watchdog health` at site {site}."),
    };
    body += &paragraph("How to see more", &more);
    let about = kind.about();
    body += &format!(
        "-- \nsite {site}, {}, epoch {}, {now}\n{}: {}\n",
        origin.role, origin.epoch, about.service, about.word
    );
    let subject = format!("[dr-watchdog] site {site}: {subject}");
    Message { kind: about.word.to_owned(), site, time: now, subject, body }
}

/// The text without what a mail or a terminal could take for its own: control characters; and not endless.
fn sentence(text: &str) -> String {
    let mut clean: String = one_line(text).chars().take(TEXT_CHARS_MAX).collect();
    if text.chars().count() > TEXT_CHARS_MAX {
        clean.push('…');
    }
    clean.trim_end_matches('.').to_owned()
}

fn one_line(text: &str) -> String {
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn paragraph(head: &str, text: &str) -> String {
    let mut lines = format!("{head}:\n");
    let mut width = 0;
    for word in text.split(' ') {
        let chars = word.chars().count();
        if width > 0 && width + 1 + chars > LINE_CHARS {
            lines.push('\n');
            width = 0;
        }
        lines += if width == 0 { "  " } else { " " };
        lines += word;
        width += if width == 0 { 2 } else { 1 } + chars;
    }
    lines + "\n\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin() -> Origin {
        Origin { site: "b".to_owned(), role: "standby".to_owned(), epoch: 7, record: Some(12) }
    }

    fn due(held_back: u64) -> Due {
        Due { held_back, since: Utc::from_unix_ms(0) }
    }

    #[test]
    fn a_mail_says_what_happened_what_was_done_what_may_be_done_and_where_to_see_more() {
        for kind in Kind::all() {
            let message = alarm(Utc::from_unix_ms(0), kind, "a sentence", &origin(), due(0));
            assert!(message.subject.starts_with("[dr-watchdog] site b: "), "{}", message.subject);
            for head in ["What happened:", "What dr-watchdog did:", "What you may do:", "How to see more:"] {
                assert!(message.body.contains(head), "{kind:?}: {}", message.body);
            }
            assert!(message.body.contains("explain 12") && message.body.contains("epoch 7"));
            assert!(
                message.body.lines().all(|line| line.chars().count() <= LINE_CHARS + 2),
                "{}",
                message.body
            );
        }
    }

    #[test]
    fn what_was_held_back_is_counted() {
        let message = alarm(Utc::from_unix_ms(0), Kind::PeerLost, "x", &origin(), due(9_999));
        assert!(message.body.contains("9999 more of the same"), "{}", message.body);
        let message = end(Utc::from_unix_ms(0), Kind::PeerLost, "x", &origin(), due(3));
        assert!(message.body.contains("3 alarms of it were not mailed"), "{}", message.body);
        assert!(message.subject.ends_with("the other site answers again"));
    }

    #[test]
    fn a_hostile_description_adds_no_line_and_no_escape() {
        let text = format!("bad\r\n.\r\nMAIL FROM:<x>\u{1b}[2J {}", "y".repeat(9_000));
        let message = alarm(Utc::from_unix_ms(0), Kind::PolicyFailed, &text, &origin(), due(0));
        assert!(!message.body.contains('\r') && !message.body.contains('\u{1b}'));
        assert!(message.body.contains("bad . MAIL FROM:<x> [2J"), "{}", message.body);
        assert!(message.body.len() < 4_000);
        let site = Origin { site: "b\r\nBcc: x@example.com".to_owned(), ..origin() };
        let message = alarm(Utc::from_unix_ms(0), Kind::Test, "x", &site, due(0));
        assert!(!message.subject.contains(['\r', '\n']), "{}", message.subject);
    }
}
