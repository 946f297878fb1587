//! What a series of simulated runs came to, as a table or as JSON.

use comfy_table::{Table, presets};
use dr_watchdog_sim::liars::{self, Liars};
use dr_watchdog_sim::options::{Options, Profile};
use dr_watchdog_sim::run::failover_bound_us;
use dr_watchdog_sim::tally::Tally;
use serde_json::{Value, json};

/// One series as it is reported.
#[derive(Debug)]
pub(super) struct Report<'a> {
    pub(super) options: &'a Options,
    pub(super) seed: u64,
    pub(super) policy: String,
    pub(super) tally: &'a Tally,
    pub(super) per_second: u64,
    /// Violation by violation the file in which its shrunk run was saved.
    pub(super) saved: Vec<Option<String>>,
}

fn whole(us: u64) -> u64 {
    us.div_ceil(1_000_000)
}

impl Report<'_> {
    /// The last line of `--json`.
    pub(super) fn json(&self) -> Value {
        let tally = self.tally;
        let violations = tally.failed.iter().enumerate().map(|(index, failed)| {
            json!({
                "invariant": failed.invariant, "schedule": failed.index, "text": failed.text,
                "scenario": self.saved.get(index).cloned().flatten(),
            })
        });
        json!({
            "type": "summary",
            "schedules": tally.runs,
            "seed": self.seed,
            "exclusion": self.options.exclusion.word(),
            "policy": self.policy,
            "arbiters": self.options.arbiters,
            "overlap": {"count": tally.overlapping, "longestS": whole(tally.longest_overlap_us)},
            "noActive": {"count": tally.without_active, "longestS": whole(tally.longest_none_us)},
            "needless": tally.needless,
            "failover": {
                "count": tally.failovers_us.len(),
                "p50S": whole(tally.percentile_us(50)),
                "p99S": whole(tally.percentile_us(99)),
                "maxS": whole(tally.percentile_us(100)),
            },
            "boundS": whole(failover_bound_us(self.options)),
            "broken": tally.failing,
            "violations": violations.collect::<Vec<_>>(),
            "liars": self.liars().map(|found| json!({"alone": found.alone, "withCuts": found.with_cuts})),
            "perSecond": self.per_second,
        })
    }

    /// How many lying arbiters split the sites; without leases nothing is promised that they could break.
    fn liars(&self) -> Option<Liars> {
        self.options.exclusion.is_lease().then(|| liars::smallest(self.options))
    }

    /// One cell per line of the table.
    fn column(&self) -> Vec<String> {
        let tally = self.tally;
        let s = |us: u64| format!("{:.1} s", us as f64 / 1e6);
        let share = tally.overlapping as f64 * 100.0 / tally.runs.max(1) as f64;
        let none = "-".to_owned();
        let has = !tally.failovers_us.is_empty();
        let time = |percent: usize| if has { s(tally.percentile_us(percent)) } else { none.clone() };
        vec![
            format!("{} ({share:.2} %)", tally.overlapping),
            if tally.overlapping == 0 { none.clone() } else { s(tally.longest_overlap_us) },
            tally.without_active.to_string(),
            s(tally.longest_none_us),
            tally.needless.to_string(),
            tally.failovers_us.len().to_string(),
            time(50),
            time(99),
            time(100),
            s(failover_bound_us(self.options)),
            tally.failing.to_string(),
            self.liars().map_or(none, told),
            self.per_second.to_string(),
        ]
    }
}

fn told(liars: Liars) -> String {
    let count = |found: Option<usize>| found.map_or("no number".to_owned(), |count| count.to_string());
    let (alone, with_cuts) = (count(liars.alone), count(liars.with_cuts));
    if alone == with_cuts {
        return alone;
    }
    format!("{alone}; {with_cuts} where the active reaches only as many others as it needs")
}

/// The table of one or of two series over the same schedules.
pub(super) fn table(reports: &[&Report<'_>]) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    let head = |report: &&Report<'_>| format!("{}, {}", report.options.exclusion.word(), report.policy);
    table.set_header(std::iter::once(String::new()).chain(reports.iter().map(head)));
    let columns: Vec<_> = reports.iter().map(|report| report.column()).collect();
    let names = [
        "both served at once",
        "longest",
        "nobody served for longer than the bound",
        "longest",
        "needless failovers",
        "failovers after a true loss",
        "  half of them within",
        "  99 of 100 within",
        "  all of them within",
        "  bound",
        "schedules with a broken promise",
        "lying arbiters that split the sites",
        "schedules per second",
    ];
    for (index, name) in names.iter().enumerate() {
        let cells = columns.iter().map(|column| column[index].clone());
        table.add_row(std::iter::once((*name).to_owned()).chain(cells));
    }
    table.to_string()
}

/// The line before everything else: enough to repeat the series.
pub(super) fn head(options: &Options, seed: u64, schedules: u64, policy: &str) -> String {
    let profile = match options.profile {
        Profile::Reference => "reference",
        Profile::Fast => "fast",
    };
    let kinds: Vec<_> = options.kinds.iter().map(|kind| kind.word()).collect();
    let kinds = if kinds.is_empty() { "mixed".to_owned() } else { kinds.join(",") };
    format!(
        "seed {seed}: {schedules} schedules of {} h, {} to {} faults ({}), {} arbiters ({kinds}), threshold {}, timers {profile}, exclusion {}, policy {policy}",
        options.hours,
        options.faults_min,
        options.faults_max,
        if options.is_assumed { "assumed" } else { "all" },
        options.arbiters,
        f64::from(options.threshold) / 10_000.0,
        options.exclusion.word(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_has_the_keys_that_scripts_read() {
        let (options, tally) = (Options::default(), Tally::default());
        let report = Report {
            options: &options,
            seed: 7,
            policy: "default".to_owned(),
            tally: &tally,
            per_second: 1,
            saved: Vec::new(),
        };
        let summary = report.json();
        for key in [
            "type",
            "schedules",
            "seed",
            "exclusion",
            "policy",
            "arbiters",
            "needless",
            "boundS",
            "perSecond",
        ] {
            assert!(summary.get(key).is_some(), "{key}");
        }
        for path in [
            "/overlap/count",
            "/overlap/longestS",
            "/noActive/count",
            "/failover/p50S",
            "/failover/p99S",
            "/failover/maxS",
        ] {
            assert!(summary.pointer(path).is_some(), "{path}");
        }
        assert_eq!(summary["violations"], json!([]));
        assert!(table(&[&report, &report]).contains("needless failovers"));
        assert!(head(&options, 7, 10, "default").starts_with("seed 7: 10 schedules"));
    }
}
