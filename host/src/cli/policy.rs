//! `policy`: tries and checks policies.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};

use super::{
    Globals, exit, output, policy_eval, policy_new, policy_question, policy_reload, policy_test, policy_types,
};
use crate::policy::{Engine, Failure, Permissions, PolicySpec, Runner, engine_of, find_default_plugin};

/// Longest evaluation where nothing else is said: the default of `policy.deadline`.
const DEADLINE: Duration = Duration::from_secs(10);
/// Most memory of a guest: the default of `policy.memory`.
const MEMORY_BYTES: u64 = 128 << 20;
/// The word for the policy that decides where nobody wrote one.
pub(super) const DEFAULT: &str = "default";

/// Arguments of `policy`.
#[derive(Debug, clap::Subcommand)]
pub enum Args {
    /// Begin a policy with a template that works.
    New(policy_new::Args),
    /// Load a policy, say what it is and whether its file may be trusted.
    Check(CheckArgs),
    /// Ask a policy one question, with sections and evidence from files.
    Eval(policy_eval::Args),
    /// Ask a policy every question of its cases file, and compare the answers.
    Test(policy_test::Args),
    /// Have the running watchdog load its policy again.
    Reload(policy_reload::Args),
    /// Write the types that editors complete and check Lua policies with.
    Types(policy_types::Args),
}

/// Arguments of `policy check`.
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// A .lua file, a .so plugin, an executable script, or the word "default".
    #[arg(value_name = "FILE")]
    policy: PathBuf,
    /// What `[policy.config]` would hold, as a JSON file.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(globals: &Globals, args: Args) -> ExitCode {
    with_runtime("policy", async || match args {
        Args::New(args) => policy_new::new(&args),
        Args::Reload(args) => policy_reload::reload(globals, &args),
        Args::Types(args) => policy_types::write(&args),
        Args::Check(args) => check(&args).await,
        Args::Eval(args) => policy_eval::eval(globals, &args).await,
        Args::Test(args) => policy_test::test(&args).await,
    })
}

/// Runs a command that loads policies.
pub(super) fn with_runtime(command: &str, work: impl AsyncFnOnce() -> u8) -> ExitCode {
    let (runtime, local) = match super::runtime() {
        Ok(made) => made,
        Err(error) => {
            output::failed(&format!("{command}: the runtime could not be started: {error}"));
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
    exit::code(local.block_on(&runtime, work()))
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

/// Loads a policy for the demo, which would find out only after its lab is laid that the file is none.
///
/// # Errors
/// The exit status, after the reason was printed.
pub(super) fn is_usable(policy: &Path) -> Result<(), ExitCode> {
    let checked = with_runtime("demo", async || {
        let folder = match tempfile::tempdir() {
            Ok(folder) => folder,
            Err(error) => {
                output::failed(&format!("demo: no temporary folder could be made: {error}"));
                return exit::USAGE;
            }
        };
        let loaded = match spec(policy, folder.path()) {
            Ok(spec) => Runner::load(spec).await,
            Err(failure) => Err(failure),
        };
        let Err(failure) = loaded else { return exit::OK };
        let hint = failure.hint.map(|hint| format!("; {hint}")).unwrap_or_default();
        output::failed(&format!(
            "demo: the policy {} cannot be used ({}): {}{hint}",
            policy.display(),
            failure.kind.word(),
            failure.message
        ));
        exit::USAGE
    });
    if checked == exit::code(exit::OK) { Ok(()) } else { Err(checked) }
}

async fn check(args: &CheckArgs) -> u8 {
    let folder = match tempfile::tempdir() {
        Ok(folder) => folder,
        Err(error) => {
            output::failed(&format!("policy check: no temporary folder could be made: {error}"));
            return exit::USAGE;
        }
    };
    let config = match args.config.as_deref().map(policy_question::read).transpose() {
        Ok(config) => config,
        Err(message) => {
            eprintln!("dr-watchdog policy check: {message}");
            return exit::USAGE;
        }
    };
    let loaded = match spec(&args.policy, folder.path()) {
        Ok(mut spec) => {
            if let Some(config) = config {
                spec.config = config;
            }
            let engine = spec.engine;
            Runner::load(spec).await.map(|runner| (engine, runner))
        }
        Err(failure) => Err(failure),
    };
    if args.json {
        output::json(&checked(&args.policy, &loaded));
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
            "error": null,
        }),
        Err(failure) => json!({
            "ok": false,
            "engine": engine_of(policy),
            "policy": policy,
            "describe": null,
            "warnings": [],
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
            output::line(&format!("{}: {what}", runner.name()));
            if let Value::Object(describe) = runner.describe() {
                for (key, value) in
                    describe.iter().filter(|(_, value)| value.is_string() || value.is_number())
                {
                    output::line(&format!(
                        "  {key}: {}",
                        value.as_str().map_or_else(|| value.to_string(), str::to_owned)
                    ));
                }
            }
            for warning in runner.warnings() {
                output::line(&format!("warning: {warning}"));
            }
            if !runner.warnings().is_empty() {
                output::line("a daemon refuses this policy until the warnings are gone");
            }
        }
        Err(failure) => {
            output::line(&format!("{}: cannot be used ({})", policy.display(), failure.kind.word()));
            output::line(&failure.message);
            if let Some(hint) = &failure.hint {
                output::line(&format!("hint: {hint}"));
            }
        }
    }
}
