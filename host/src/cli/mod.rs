//! The command line: the tree of commands, and which file runs each.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use tokio::runtime::Runtime;
use tokio::task::LocalSet;

use crate::config::Config;
use crate::paths::Paths;
use crate::probe::descriptors;

pub mod api;
pub mod arbiters;
pub mod ask;
pub mod client;
pub mod config;
pub mod demo;
pub mod drill;
mod drill_checks;
pub mod exclusion;
pub mod exit;
pub mod explain;
pub mod health;
mod health_down;
mod health_screen;
pub mod history;
pub mod init;
mod json_diff;
mod made;
mod manual;
pub mod notify;
pub mod output;
mod pair;
pub mod ping;
pub mod plan;
pub mod plugin;
pub mod plugin_check;
mod plugin_findings;
pub mod policy;
mod policy_cases;
pub mod policy_eval;
mod policy_live;
pub mod policy_new;
pub mod policy_probes;
mod policy_question;
pub mod policy_reload;
mod policy_replay;
mod policy_report;
pub mod policy_test;
pub mod policy_types;
pub mod reach;
pub mod run;
pub mod screen;
mod service;
pub mod simulate;
mod simulate_args;
mod simulate_guest;
mod simulate_replay;
mod simulate_report;
mod simulate_series;
pub mod sink;
pub mod spelling;
pub mod step;
mod story;
pub mod toolkit;
mod update;
mod wait;

/// Decides, with evidence from arbiters, which of two sites serves.
#[derive(Debug, Parser)]
#[command(name = "dr-watchdog", version, about, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Command,
}

/// Options of every command.
#[derive(Debug, Clone, clap::Args)]
pub struct Globals {
    /// Put configuration, state and socket below this folder instead of /.
    #[arg(long, global = true, value_name = "DIR", env = "DR_WATCHDOG_ROOT")]
    pub root: Option<PathBuf>,
}

impl Globals {
    /// The files of the chosen root.
    pub fn paths(&self) -> Paths {
        Paths::below(self.root.as_deref())
    }
}

impl Globals {
    /// The configuration of the chosen root; where it cannot be used, that is said.
    ///
    /// # Errors
    /// The status to end with.
    pub fn config(&self) -> Result<Config, ExitCode> {
        let loaded = crate::config::load(&self.paths());
        loaded.map(|(config, _)| config).map_err(|errors| {
            output::failed(&errors.to_string());
            exit::code(exit::USAGE)
        })
    }
}

/// A runtime of one thread, which is all that any command needs: fewer wake-ups, and no lock between tasks.
///
/// # Errors
/// When the system refuses it.
pub fn runtime() -> std::io::Result<(Runtime, LocalSet)> {
    descriptors::raise_limit();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok((runtime, LocalSet::new()))
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the watchdog in the foreground.
    Run(run::Args),
    /// Show two sites, three arbiters and a real failover on this machine.
    Demo(demo::Args),
    /// Make the configuration of both sites.
    Init(init::Args),
    /// Start the watchdogs of both sites, from the active one.
    Start(pair::start::Args),
    /// Stop the watchdogs of both sites; data and services stay as they are.
    Stop(pair::stop::Args),
    /// Stop the watchdog here and delete this site's disaster-recovery data.
    Reset(pair::reset::Args),
    /// Switch the roles of the two sites by hand.
    #[command(name = "manualFailover", alias = "manual-failover")]
    ManualFailover(pair::failover::Args),
    /// Say which site serves and what is wrong.
    Health(health::Args),
    /// Show the configuration and state as old scripts read them.
    #[command(subcommand)]
    Api(api::Args),
    /// Look at the arbiters.
    #[command(subcommand)]
    Arbiters(arbiters::Args),
    /// Ping addresses the way the watchdog does.
    Ping(ping::Args),
    /// Try and check policies.
    #[command(subcommand)]
    Policy(policy::Args),
    /// Look at compiled policies, and check them.
    #[command(subcommand)]
    Plugin(plugin::Args),
    /// Try the rules, or a policy, against thousands of simulated disasters.
    Simulate(simulate::Args),
    /// Check the configuration.
    #[command(subcommand)]
    Config(config::Args),
    /// Say what only an operator can know of the other site.
    #[command(subcommand)]
    Exclusion(exclusion::Args),
    /// List past decisions.
    History(history::Args),
    /// Tell a past decision as a story: inputs, rule, gate, effect, the nearest flip.
    Explain(explain::Args),
    /// Print the steps of a role change.
    Plan(plan::Args),
    /// Prove that everything a failover needs would work, without changing a role.
    Drill(drill::Args),
    /// Try the mails, or list those that wait.
    #[command(subcommand)]
    Notify(notify::Args),
    /// The tools of the manual.
    #[command(subcommand)]
    Toolkit(toolkit::Args),
    /// Swallows its input, for the other site; not for people.
    #[command(hide = true)]
    Sink,
    /// Whether this site's nodes reach the other one, for the other site; not for people.
    #[command(hide = true)]
    Reach,
    /// One question to the daemon, for the other site; not for people.
    #[command(hide = true)]
    Ask(ask::Args),
    /// Print what a shell needs to complete these commands.
    Completions(manual::Completions),
    /// Print the manual page, or write all of them.
    Man(manual::Man),
    /// Runs one policy for the daemon; not for people.
    #[command(hide = true)]
    Worker(crate::worker::Args),
    /// The demo inside its namespaces; not for people.
    #[command(hide = true)]
    DemoInside(crate::demo::inside::Args),
    /// Runs one step of a role change for the daemon; not for people.
    #[command(hide = true)]
    Step(step::Args),
    /// One arbiter of the demo; not for people.
    #[command(hide = true)]
    DemoArbiter(crate::demo::arbiter::Args),
}

/// Parses and runs.
pub fn main_from(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args = spelling::meant(args);
    // What follows `--` is another program's.
    output::begin(args.iter().take_while(|arg| *arg != "--").any(|arg| arg == "--json"));
    let code = match Cli::try_parse_from(&args) {
        Ok(cli) => run(cli),
        Err(error) => {
            // A closed standard output while printing help is nobody's problem.
            let _ = error.print();
            if error.use_stderr() {
                let text = error.to_string();
                // What is missing or wrong stands in the lines up to the first empty one.
                let lines: Vec<&str> =
                    text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
                let message = lines.join(" ").trim_start_matches("error: ").to_owned();
                output::noted(&message);
                policy_eval::misused(&args, &message);
            }
            exit::code(if error.use_stderr() { exit::USAGE } else { exit::OK })
        }
    };
    output::end();
    code
}

fn run(cli: Cli) -> ExitCode {
    let globals = cli.globals;
    match cli.command {
        Command::Run(args) => run::run(&globals, args),
        Command::Demo(args) => demo::run(&globals, args),
        Command::Start(args) => pair::start::run(&globals, &args),
        Command::Stop(args) => pair::stop::run(&globals, &args),
        Command::Reset(args) => pair::reset::run(&globals, &args),
        Command::Exclusion(args) => exclusion::run(&globals, args),
        Command::ManualFailover(args) => pair::failover::run(&globals, &args),
        Command::Init(args) => init::run(&globals, &args),
        Command::Sink => sink::run(),
        Command::Reach => reach::run(),
        Command::Ask(args) => ask::run(&globals, &args),
        Command::Health(args) => health::run(&globals, args),
        Command::Api(args) => api::run(&globals, args),
        Command::Arbiters(args) => arbiters::run(&globals, args),
        Command::Ping(args) => ping::run(&globals, args),
        Command::Policy(args) => policy::run(&globals, args),
        Command::Plugin(args) => plugin::run(&args),
        Command::Simulate(args) => simulate::run(&args),
        Command::Config(args) => config::run(&globals, args),
        Command::History(args) => history::run(&globals, args),
        Command::Explain(args) => explain::run(&globals, &args),
        Command::Plan(args) => plan::run(&globals, &args),
        Command::Drill(args) => drill::run(&globals, &args),
        Command::Notify(args) => notify::run(&globals, args),
        Command::Toolkit(args) => toolkit::run(&globals, args),
        Command::Completions(args) => manual::completions(&args, Cli::command()),
        Command::Man(args) => manual::man(&args, Cli::command()),
        Command::Worker(args) => crate::worker::run(args),
        Command::DemoInside(args) => demo::run_inside(&args),
        Command::Step(args) => step::run(&args),
        Command::DemoArbiter(args) => crate::demo::arbiter::run(&args),
    }
}
