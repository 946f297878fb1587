//! `init` as a conversation: each answer is checked at once, and there is a way back.

use super::answers::Answers;
use super::questions::{self, QUESTIONS, Question};
use crate::cli::output;
use crate::cli::pair::question;

/// Goes back to the question before.
const BACK: &str = "<";

/// Finds the host key of the other site, for the person to compare.
pub(super) type ShowKey<'a> = &'a dyn Fn(&Answers) -> Result<String, String>;

/// Asks everything.
///
/// # Errors
/// When the person left; nothing has been written then.
pub(super) fn converse(given: &Answers, show_key: ShowKey<'_>) -> Result<Answers, String> {
    output::line(&format!(
        "Enter takes the answer in brackets; {BACK} goes back one question. Nothing is written before the end."
    ));
    let questions: Vec<&Question> =
        QUESTIONS.iter().filter(|question| !given.contains_key(question.key)).collect();
    let mut answers = given.clone();
    let mut at = 0;
    loop {
        while let Some(question) = questions.get(at) {
            match one(question, &answers, show_key)? {
                Some(answer) => {
                    answers.insert(question.key.to_owned(), answer);
                    at += 1;
                }
                None => at = at.saturating_sub(1),
            }
        }
        let wrongs = questions::contradictions(&answers);
        if wrongs.is_empty() {
            return Ok(answers);
        }
        wrongs.iter().for_each(|wrong| output::line(&format!("  ! {wrong}")));
        at = questions.iter().position(|question| wrongs[0].starts_with(question.key)).unwrap_or(0);
    }
}

/// One answer; `None` = back.
fn one(question: &Question, answers: &Answers, show_key: ShowKey<'_>) -> Result<Option<String>, String> {
    let earlier = answers.get(question.key).cloned();
    let mut default = earlier.or_else(|| question.default(answers));
    output::line("");
    output::line(&format!("{} ({})", question.text, question.why));
    if question.key == "peer.hostKey" {
        match show_key(answers) {
            Ok(shown) => {
                output::line(&format!(
                    "  it shows {shown}; compare with its own console: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub"
                ));
                default = shown.split_whitespace().last().map(str::to_owned);
            }
            Err(why) => output::line(&format!("  it shows none now: {why}")),
        }
    }
    loop {
        let shown = default.as_deref().map(|default| format!(" [{default}]")).unwrap_or_default();
        let Some(answer) = question::line(&format!("{}{shown}: ", question.key)) else {
            return Err("you left; nothing was written".to_owned());
        };
        if answer == BACK {
            return Ok(None);
        }
        let taken = if answer.is_empty() { default.clone().unwrap_or_default() } else { answer };
        match question.check(&taken) {
            Ok(answer) => return Ok(Some(answer)),
            Err(why) => output::line(&format!("  ! expected {why}")),
        }
    }
}
