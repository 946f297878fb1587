//! `policy`: tries and checks policies.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Globals, exit, policy_eval, policy_test};
use crate::policy::{Engine, Failure, Permissions, PolicySpec, Runner, engine_of, find_default_plugin};

/// Longest evaluation where nothing else is said: the default of `policy.deadline`.
const DEADLINE: Duration = Duration::from_secs(10);
/// Most memory of a guest: the default of `policy.memory`.
const MEMORY_BYTES: u64 = 64 << 20;
/// The word for the policy that decides where nobody wrote one.
const DEFAULT: &str = "default";

/// Arguments of `policy`.
#[derive(Debug, clap::Subcommand)]
pub enum Args {
    /// Load a policy, say what it is and whether its file may be trusted.
    Check(CheckArgs),
    /// Ask a policy one question, with sections and evidence from files.
    Eval(policy_eval::Args),
    /// Ask a policy every question of its cases file, and compare the answers.
    Test(policy_test::Args),
}

/// Arguments of `policy check`.
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// A .lua file, a .so plugin, an executable script, or the word "default".
    #[arg(value_name = "FILE")]
    policy: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(globals: &Globals, args: Args) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("dr-watchdog policy: the runtime could not be started: {error}");
            return exit::code(exit::USAGE);
        }
    };
    // What a guest logs goes to standard error, so that standard output holds nothing but the answer. Another
    // subscriber is there already only if this runs inside another program.
    let _ = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .without_time()
        .with_max_level(tracing::Level::INFO)
        .try_init();
    let local = tokio::task::LocalSet::new();
    let status = match args {
        Args::Check(args) => local.block_on(&runtime, check(&args)),
        Args::Eval(args) => local.block_on(&runtime, policy_eval::eval(globals, &args)),
        Args::Test(args) => local.block_on(&runtime, policy_test::test(&args)),
    };
    exit::code(status)
}

/// How `policy check` and `policy eval` run a policy: loose permissions only warn here.
///
/// # Errors
/// When the default plugin is nowhere to be found, or the path cannot be made absolute.
pub fn spec(policy: &Path, run_dir: &Path) -> Result<PolicySpec, Failure> {
    let path = if policy == Path::new(DEFAULT) { find_default_plugin()? } else { policy.to_owned() };
    let path = std::path::absolute(&path).map_err(|error| {
        Failure::new(crate::policy::FailureKind::Load, format!("{}: {error}", path.display()))
    })?;
    Ok(PolicySpec {
        engine: engine_of(&path),
        path,
        config: json!({}),
        deadline: DEADLINE,
        memory_bytes: MEMORY_BYTES,
        permissions: Permissions::Warn,
        script_env: Vec::new(),
        script_user: None,
        script_secrets: true,
        run_dir: run_dir.to_owned(),
        terms: Default::default(),
    })
}

async fn check(args: &CheckArgs) -> u8 {
    let folder = match tempfile::tempdir() {
        Ok(folder) => folder,
        Err(error) => {
            eprintln!("dr-watchdog policy check: no temporary folder could be made: {error}");
            return exit::USAGE;
        }
    };
    let loaded = match spec(&args.policy, folder.path()) {
        Ok(spec) => {
            let engine = spec.engine;
            Runner::load(spec).await.map(|runner| (engine, runner))
        }
        Err(failure) => Err(failure),
    };
    if args.json {
        println!("{}", checked(&args.policy, &loaded));
    } else {
        print(&args.policy, &loaded);
    }
    if loaded.is_ok() { exit::OK } else { exit::FAILED }
}

fn checked(policy: &Path, loaded: &Result<(Engine, Runner), Failure>) -> Value {
    match loaded {
        Ok((engine, runner)) => json!({
            "ok": true,
            "engine": engine,
            "policy": runner.name(),
            "describe": runner.describe(),
            "warnings": runner.warnings(),
        }),
        Err(failure) => json!({
            "ok": false,
            "engine": engine_of(policy),
            "policy": policy,
            "error": failure,
        }),
    }
}

fn print(policy: &Path, loaded: &Result<(Engine, Runner), Failure>) {
    match loaded {
        Ok((engine, runner)) => {
            let what = match engine {
                Engine::Lua => "a Lua policy; it loads, and has a function evaluate",
                Engine::Native => "a compiled plugin; it loads",
                Engine::Script => "a script; it may be executed (try it with `policy eval`)",
            };
            println!("{}: {what}", runner.name());
            if let Value::Object(describe) = runner.describe() {
                for (key, value) in
                    describe.iter().filter(|(_, value)| value.is_string() || value.is_number())
                {
                    println!("  {key}: {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned));
                }
            }
            for warning in runner.warnings() {
                println!("warning: {warning}");
            }
            if !runner.warnings().is_empty() {
                println!("a daemon refuses this policy until the warnings are gone");
            }
        }
        Err(failure) => {
            println!("{}: cannot be used ({})", policy.display(), failure.kind.word());
            println!("{}", failure.message);
            if let Some(hint) = &failure.hint {
                println!("hint: {hint}");
            }
        }
    }
}
