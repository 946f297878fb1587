//! The decision table through one engine: `dr-watchdog-table plain|FILE [SAMPLE]`.
//!
//! A worker is this program again, so it answers `worker` as the product does.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use dr_watchdog_tests::scratch::Scratch;
use dr_watchdog_tests::table::engines::{Loaded, ask_plain, plain};
use dr_watchdog_tests::table::{Answer, Case, cases, oracle};

/// Differences that are printed; the first ones tell the story.
const SHOWN_MAX: usize = 10;
/// What the host runs of itself.
const HOSTS_OWN: [&str; 2] = ["worker", "api"];

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let first = arguments.get(1).and_then(|word| word.to_str()).unwrap_or_default();
    if HOSTS_OWN.contains(&first) || !is_own_name(&arguments[0]) {
        return dr_watchdog::main_from(arguments);
    }
    let sample = arguments.get(2).and_then(|word| word.to_str()).and_then(|word| word.parse().ok());
    let cases = sample.map_or_else(cases::all, cases::sample);
    let mut table = Table { asked: 0, wrong: Vec::new() };
    match first {
        "plain" => {
            let policy = plain();
            cases.iter().for_each(|case| table.compare(case, ask_plain(&policy, case)));
        }
        file => {
            if let Err(why) = through(Path::new(file), &cases, &mut table) {
                eprintln!("{file}: {why}");
                return ExitCode::from(2);
            }
        }
    }
    table.report()
}

/// Under another name (`jmp-dr`, `dr-watchdog` in a script's PATH) it is the product.
fn is_own_name(name: &OsString) -> bool {
    PathBuf::from(name).file_name().is_some_and(|name| name == "dr-watchdog-table")
}

fn through(file: &Path, cases: &[Case], table: &mut Table) -> Result<(), String> {
    let scratch = Scratch::new("table");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let mut loaded = Loaded::load(file, scratch.path()).await?;
        for case in cases {
            let answer = loaded.ask(case).await.map(|(answer, _)| answer);
            table.compare(case, answer);
        }
        Ok(())
    })
}

/// What was asked so far.
struct Table {
    asked: usize,
    wrong: Vec<String>,
}

impl Table {
    fn compare(&mut self, case: &Case, found: Result<Answer, String>) {
        self.asked += 1;
        let expected = oracle::answer(case);
        if found.as_ref() != Ok(&expected) {
            self.wrong.push(format!("{case:?}\n  expected {expected:?}\n  found    {found:?}"));
        }
    }

    fn report(&self) -> ExitCode {
        println!("{} asked, {} wrong", self.asked, self.wrong.len());
        self.wrong.iter().take(SHOWN_MAX).for_each(|line| println!("{line}"));
        if self.wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}
