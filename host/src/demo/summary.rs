//! What the demo found out: measured times, and whether all went as promised.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What happened, as far as it came.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The site that served before the cut.
    pub active_before: Option<String>,
    /// The site that served at the end.
    pub active_after: Option<String>,
    /// Role of the site that was cut off, at the end.
    pub old_site: Option<String>,
    /// From the cut until the other site missed the active one.
    pub cut_to_lost_ms: Option<u64>,
    /// From then until its policy asked for beActive.
    pub lost_to_verdict_ms: Option<u64>,
    /// From then until it served.
    pub verdict_to_active_ms: Option<u64>,
    /// How long both served at once.
    pub overlap_ms: Option<u64>,
    /// How long nobody served.
    pub gap_ms: Option<u64>,
    /// The verdict that was carried out.
    pub verdict: Option<Value>,
    /// Why it came no further.
    pub failure: Option<String>,
    /// Whether the machine forbids what the demo needs.
    pub is_forbidden: bool,
}

impl Outcome {
    /// An outcome without any result.
    pub fn failed(failure: String, is_forbidden: bool) -> Self {
        Self { failure: Some(failure), is_forbidden, ..Self::default() }
    }

    /// Whether everything went as it should.
    pub fn is_ok(&self) -> bool {
        self.failure.is_none()
            && self.active_before.as_deref() == Some("a")
            && self.active_after.as_deref() == Some("b")
            && self.old_site.as_deref() == Some("standby")
            && self.overlap_ms == Some(0)
            && self.verdict_to_active_ms.is_some()
    }

    /// The last line of `demo --json`.
    pub fn json(&self, is_ok: bool, policy: &str, kept: Option<&str>) -> Value {
        json!({
            "type": "summary",
            "ok": is_ok,
            "policy": policy,
            "activeBefore": self.active_before,
            "activeAfter": self.active_after,
            "oldSite": self.old_site,
            "cutToLostMs": self.cut_to_lost_ms,
            "lostToVerdictMs": self.lost_to_verdict_ms,
            "verdictToActiveMs": self.verdict_to_active_ms,
            "overlapMs": self.overlap_ms,
            "verdict": self.verdict,
            "kept": kept,
        })
    }

    /// The same for people, a line each.
    pub fn lines(&self, is_ok: bool, policy: &str, kept: Option<&str>) -> Vec<String> {
        let site = |site: &Option<String>| site.clone().unwrap_or_else(|| "none".to_owned());
        let ms = |span: Option<u64>| span.map_or_else(|| "not reached".to_owned(), spelled);
        let mut lines = vec![
            format!("policy                                     {policy}"),
            format!(
                "active before the cut / now                {} / {}",
                site(&self.active_before),
                site(&self.active_after)
            ),
            format!("the site that was cut off is now           {}", site(&self.old_site)),
            format!("from the cut until b missed a              {}", ms(self.cut_to_lost_ms)),
            format!("from then until the policy said beActive   {}", ms(self.lost_to_verdict_ms)),
            format!("from then until b served                   {}", ms(self.verdict_to_active_ms)),
            format!("both served at once for                    {}", ms(self.overlap_ms)),
            format!("nobody served for                          {}", ms(self.gap_ms)),
        ];
        lines.push(match kept {
            Some(folder) => format!("kept as you asked                          {folder}"),
            None if is_ok => {
                "left behind                                nothing: no process, no file, no link".to_owned()
            }
            None => "left behind                                see above".to_owned(),
        });
        lines
    }
}

fn spelled(ms: u64) -> String {
    if ms < 1_000 { format!("{ms} ms") } else { format!("{}.{} s", ms / 1_000, ms % 1_000 / 100) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Outcome {
        Outcome {
            active_before: Some("a".to_owned()),
            active_after: Some("b".to_owned()),
            old_site: Some("standby".to_owned()),
            cut_to_lost_ms: Some(1_950),
            lost_to_verdict_ms: Some(6_100),
            verdict_to_active_ms: Some(40),
            overlap_ms: Some(0),
            gap_ms: Some(4_000),
            verdict: Some(json!({"action": "beActive"})),
            failure: None,
            is_forbidden: false,
        }
    }

    #[test]
    fn only_a_whole_failover_without_overlap_is_ok() {
        assert!(good().is_ok());
        assert!(!Outcome { overlap_ms: Some(1), ..good() }.is_ok());
        assert!(!Outcome { old_site: Some("active".to_owned()), ..good() }.is_ok());
        assert!(!Outcome { active_after: Some("a".to_owned()), ..good() }.is_ok());
        assert!(!Outcome { verdict_to_active_ms: None, ..good() }.is_ok());
        assert!(!Outcome { failure: Some("x".to_owned()), ..good() }.is_ok());
        assert!(!Outcome::failed("x".to_owned(), false).is_ok());
    }

    #[test]
    fn the_summary_has_the_agreed_keys_in_their_order() {
        let line = good().json(true, "lua", None);
        let keys: Vec<&str> = line.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(
            keys,
            [
                "type",
                "ok",
                "policy",
                "activeBefore",
                "activeAfter",
                "oldSite",
                "cutToLostMs",
                "lostToVerdictMs",
                "verdictToActiveMs",
                "overlapMs",
                "verdict",
                "kept"
            ]
        );
        assert_eq!(line["kept"], Value::Null);
    }

    #[test]
    fn people_read_seconds() {
        let lines = good().lines(true, "lua", Some("/tmp/x"));
        assert!(lines[3].ends_with("1.9 s") && lines[5].ends_with("40 ms") && lines[8].ends_with("/tmp/x"));
    }
}
