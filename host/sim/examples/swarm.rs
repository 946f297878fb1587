//! A long run without the command line, with any rule switched off in a build with `ablation`.

#![expect(clippy::disallowed_methods, reason = "an example measures its own speed and writes scenario files")]

use dr_watchdog_core::exclusion::agreed::Kind;
use dr_watchdog_sim::fault::class_of;
use dr_watchdog_sim::options::{Exclusion, Options, Profile, Sessions};
use dr_watchdog_sim::run::{Plan, run};
use dr_watchdog_sim::scenario::{Expectation, Scenario};
use dr_watchdog_sim::shrink::shrink;
use dr_watchdog_sim::tally::{Tally, seed_of, series};

fn argument(name: &str) -> Option<String> {
    let mut arguments = std::env::args().skip_while(|argument| argument != name);
    arguments.nth(1)
}

fn number(name: &str, default: u64) -> u64 {
    argument(name).and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn options() -> Options {
    let kinds = argument("--kind").and_then(|word| Kind::ALL.into_iter().find(|kind| kind.word() == word));
    let mut options = Options {
        arbiters: usize::try_from(number("--arbiters", 5)).unwrap_or(5),
        kinds: kinds.into_iter().collect(),
        linger_s: argument("--linger").and_then(|text| text.parse().ok()),
        threshold: u16::try_from(number("--threshold", 5_000)).unwrap_or(5_000),
        profile: if argument("--profile").as_deref() == Some("fast") {
            Profile::Fast
        } else {
            Profile::Reference
        },
        exclusion: match argument("--exclusion").as_deref() {
            Some("verdict") => Exclusion::Verdict,
            Some("manual") => Exclusion::Manual,
            _ => Exclusion::Lease,
        },
        sessions: if argument("--sessions").as_deref() == Some("application") {
            Sessions::Application
        } else {
            Sessions::Watchdog
        },
        is_assumed: argument("--faults").as_deref() != Some("all"),
        classes: argument("--classes")
            .map(|list| list.split(',').map(|verb| class_of(verb).expect("a fault's verb")).collect())
            .unwrap_or_default(),
        faults_min: number("--min", 2),
        faults_max: number("--max", 5),
        hours: number("--hours", 8),
        is_dice: argument("--policy").as_deref() == Some("dice"),
        ..Options::default()
    };
    if let Some(word) = argument("--without") {
        use dr_watchdog_core::exclusion::rules::{Rule, Rules};
        let rule = Rule::ALL.into_iter().find(|rule| rule.word() == word).expect("a rule's word");
        options.rules = Rules::without(rule);
    }
    options
}

/// One scenario file, with its rule and without it.
fn scenario(file: &str) {
    let text = std::fs::read_to_string(file).expect("a scenario file");
    let mut scenario = Scenario::read(&text).expect("a scenario");
    // Another seed of the same faults under which the rule is missed again, after the world has changed.
    for seed in 1..=number("--reseed", 0) {
        scenario.plan.seed = seed;
        let is_split = scenario
            .options_without()
            .is_some_and(|options| scenario.is_shown_by(&scenario.run(&options, false)));
        if is_split && scenario.is_met(&scenario.run(&scenario.options(), false)) {
            println!("seed {seed}");
            break;
        }
    }
    let outcome = scenario.run(&scenario.options(), false);
    println!("{file}: met {} {:?}", scenario.is_met(&outcome), outcome.violations);
    if let Some(options) = scenario.options_without() {
        let outcome = scenario.run(&options, false);
        println!(
            "  without {:?}: overlaps {:?} nobody for {} us, needless {}",
            scenario.without, outcome.overlaps, outcome.none_us, outcome.needless
        );
    }
}

/// The story of one schedule; one that broke a promise is made as small as it can be, and saved if asked for.
fn trace(options: &Options, base: u64, index: u64) {
    let mut plan = Plan::draw(seed_of(base, index), options);
    if let Some(violation) = run(options, &plan, false).violations.first() {
        println!("{violation:?}");
        plan = shrink(options, &plan, &violation.invariant);
    }
    println!("{}", plan.line());
    if let Some(file) = argument("--save") {
        let scenario = Scenario {
            about: argument("--about").unwrap_or_default(),
            expect: Expectation::Holds,
            without: argument("--without"),
            profile: options.profile,
            exclusion: options.exclusion,
            sessions: options.sessions,
            threshold: options.threshold,
            hours: options.hours,
            plan: plan.clone(),
        };
        std::fs::write(file, serde_json::to_string_pretty(&scenario).expect("plain data"))
            .expect("a writable file");
    }
    for note in run(options, &plan, true).notes {
        let who = note.site.map_or("-".to_owned(), |site| site.to_string());
        println!("{:>12.3} {who} {}", note.at_us as f64 / 1e6, note.text);
    }
}

fn main() {
    if let Some(file) = argument("--scenario") {
        return scenario(&file);
    }
    let options = options();
    let (base, count) = (number("--seed", 1), number("--schedules", 1_000));
    if let Some(index) = argument("--trace").and_then(|text| text.parse().ok()) {
        return trace(&options, base, index);
    }
    if std::env::args().any(|argument| argument == "--find") {
        let splits = |index: &u64| {
            !run(&options, &Plan::draw(seed_of(base, *index), &options), false)
                .violations
                .iter()
                .all(|found| !found.invariant.starts_with("I1") && !found.invariant.starts_with("I2"))
        };
        println!("the first split: {:?}", (0..count).find(splits));
        return;
    }
    let begun = std::time::Instant::now();
    let jobs = number("--jobs", 2);
    let tally = std::thread::scope(|scope| {
        let options = &options;
        let threads: Vec<_> = (0..jobs)
            .map(|job| scope.spawn(move || series(options, base, (job, jobs, count), || {})))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("a run that does not panic"))
            .fold(Tally::default(), Tally::join)
    });
    let s = |us: u64| us as f64 / 1e6;
    println!(
        "runs {} overlapping {} longest {:.1} s; none longest {:.0} s; needless {}; failovers {} p50 {:.1} p99 {:.1} max {:.1}; failing {}; {:.0}/s, {} happenings/run",
        tally.runs,
        tally.overlapping,
        s(tally.longest_overlap_us),
        s(tally.longest_none_us),
        tally.needless,
        tally.failovers_us.len(),
        s(tally.percentile_us(50)),
        s(tally.percentile_us(99)),
        s(tally.percentile_us(100)),
        tally.failing,
        tally.runs as f64 / begun.elapsed().as_secs_f64(),
        tally.happenings / tally.runs.max(1)
    );
    for failed in tally.failed.iter().take(12) {
        println!("  {} {} {}", failed.index, failed.invariant, failed.text);
    }
}
