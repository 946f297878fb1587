//! `arbiters check`: whether the configured devices are good arbiters.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use dr_watchdog_sdk::evidence::{ArbiterEvidence, SshOutcome};
use serde::Deserialize;

use super::check_report::{self, Checked};
use super::{Globals, Look, exit, output};
use crate::arbiters::findings::{self, Known, Level, PeerSight};
use crate::arbiters::round;
use crate::arbiters::{LINGER_LIMIT, Linger, Surveyed};
use crate::config::{self, Config};
use crate::daemon;
use crate::peer::remote::{self, Remote};
use crate::probe::ping::Pinger;

/// Longest answer of the other site: its own look at every arbiter.
const PEER_TIMEOUT: Duration = Duration::from_secs(60);
/// Most samples, and most seconds between two.
const SAMPLES_MAX: u32 = 10_000;
const INTERVAL_S_MAX: u64 = 3_600;

/// Arguments of `arbiters check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How often each arbiter is looked at.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=i64::from(SAMPLES_MAX)))]
    samples: u32,
    /// Seconds from one look to the next.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=INTERVAL_S_MAX))]
    interval: u64,
    /// Measure how long each device keeps the session of a dead client: up to 5 minutes.
    #[arg(long)]
    linger: bool,
    /// Do not ask the other site what it sees.
    #[arg(long)]
    alone: bool,
    /// Print one line of JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(super) fn run(globals: &Globals, args: &Args) -> ExitCode {
    let failed = |message: &str, status: u8| {
        output::failed(message);
        exit::code(status)
    };
    let config = match config::load(&globals.paths()) {
        Ok((config, _)) => config,
        Err(errors) => return failed(&errors.to_string(), exit::USAGE),
    };
    if config.arbiters.is_empty() {
        return failed("no arbiter is configured, so there is nothing to check", exit::USAGE);
    }
    let (runtime, local) = match crate::cli::runtime() {
        Ok(both) => both,
        Err(error) => return failed(&error.to_string(), exit::FAILED),
    };
    let checked = match local.block_on(&runtime, check(config, args)) {
        Ok(checked) => checked,
        Err(why) => return failed(&why, exit::FORBIDDEN),
    };
    if args.json {
        output::json(&check_report::json(&checked));
    } else {
        check_report::lines(&checked, Look::of_stdout().columns).iter().for_each(|line| output::line(line));
    }
    let is_bad = checked.findings.iter().any(|finding| finding.level == Level::Problem);
    exit::code(if is_bad { exit::FAILED } else { exit::OK })
}

async fn check(config: Config, args: &Args) -> Result<Checked, String> {
    let opened = Pinger::open(config.site.source_address).await;
    let pinger = Arc::new(opened.map_err(|error| config::chain(&error))?);
    let settings = daemon::arbiter_settings(&config);
    // What the samples need as sockets is what a sweep needs, of whichever family.
    let capacity = pinger.capacity(true).or(pinger.capacity(false)).unwrap_or(1);
    let (events, _unheard) = tokio::sync::mpsc::unbounded_channel();
    let config = Rc::new(config);
    let arbiters = daemon::build_arbiters(&config, &pinger, &events);
    if !args.json {
        output::line(&format!(
            "{} arbiters are looked at {} times, every {} s",
            config.arbiters.len(),
            args.samples,
            args.interval
        ));
    }
    let surveying = arbiters.survey(args.samples, Duration::from_secs(args.interval));
    let (surveyed, peer) = tokio::join!(surveying, sight_of_peer(&config, args.alone));
    let linger = if args.linger { measured(&arbiters, &surveyed, args.json).await } else { BTreeMap::new() };
    arbiters.shutdown().await;
    let exclusion = &config.exclusion;
    let round = round::round(config.arbiters.len() / 2, capacity, &settings);
    let known = Known {
        surveyed: &surveyed,
        peer: peer.clone(),
        linger: &linger,
        round,
        window: exclusion.window(),
        keep_alive: exclusion.keep_alive,
        lease: exclusion.lease,
        wait: exclusion.wait,
    };
    let findings = findings::findings(&known);
    Ok(Checked {
        time: daemon::now().wall,
        surveyed,
        peer,
        linger,
        round,
        window: exclusion.window(),
        findings,
    })
}

/// Measured where the device can be asked at all.
async fn measured(
    arbiters: &crate::arbiters::Arbiters,
    surveyed: &[Surveyed],
    is_quiet: bool,
) -> BTreeMap<usize, Result<Linger, String>> {
    let fit: Vec<usize> = (0..surveyed.len()).filter(|at| surveyed[*at].looked > 0).collect();
    if !is_quiet {
        output::line(&format!(
            "a session at each of {} devices falls silent now; at most {} s until its row is gone",
            fit.len(),
            LINGER_LIMIT.as_secs()
        ));
    }
    arbiters.linger(&fit, LINGER_LIMIT).await.into_iter().collect()
}

/// The part of a report that is needed here.
#[derive(Deserialize)]
struct Report {
    arbiters: BTreeMap<String, ArbiterEvidence>,
}

/// What the other site sees, asked over SSH.
async fn sight_of_peer(config: &Config, is_alone: bool) -> Result<BTreeMap<String, PeerSight>, String> {
    if is_alone {
        return Err("it was not asked".to_owned());
    }
    let to = remote::destination(config).map_err(|error| config::chain(&error))?;
    let remote = Remote::connect(&to).await.map_err(|error| config::chain(&error))?;
    let mut pinged = ask(&remote, "ping").await?;
    let looked = ask(&remote, "sessions").await?;
    let sight = |(name, seen): (String, ArbiterEvidence)| {
        let pings = pinged.remove(&name).and_then(|seen| seen.ping) == Some(true);
        (name, PeerSight { pings, ssh: seen.ssh.unwrap_or(SshOutcome::Timeout) })
    };
    Ok(looked.into_iter().map(sight).collect())
}

async fn ask(remote: &Remote, what: &str) -> Result<BTreeMap<String, ArbiterEvidence>, String> {
    let ran = remote.run(&["arbiters", what, "--json"], b"", PEER_TIMEOUT).await;
    let ran = ran.map_err(|error| config::chain(&error))?;
    let report = serde_json::from_slice::<Report>(&ran.stdout).map_err(|error| {
        let said = String::from_utf8_lossy(&ran.stderr);
        format!("`arbiters {what} --json` there gave no report ({error}): {}", said.trim())
    })?;
    Ok(report.arbiters)
}
