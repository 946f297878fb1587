//! `demo`: two sites, three arbiters and a real failover on this machine.

use std::path::PathBuf;
use std::process::ExitCode;

use super::{Globals, exit, output, policy};
use crate::demo::inside;
use crate::demo::launch::{self, End, Wish};
use crate::demo::policy_file::Choice;

/// Arguments of `demo`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Needs namespaces, not root. Exit status: 0 the failover went as promised, 1 it did not, \
                        2 no such policy, 3 this machine forbids namespaces."
)]
pub struct Args {
    /// Which policy decides: `default` (the arbitration plugin), `lua`, `script`, or a policy file of your own.
    #[arg(long, value_name = "default|lua|script|FILE", default_value = "default")]
    policy: Choice,
    /// Write one event a line as JSON, the summary last.
    #[arg(long)]
    json: bool,
    /// Keep the folder with configurations, states, histories and logs, and say where it is.
    #[arg(long)]
    keep: bool,
}

/// Runs the command.
pub fn run(_globals: &Globals, args: Args) -> ExitCode {
    let plugin = match args.policy {
        Choice::Default => crate::policy::find_default_plugin(),
        Choice::Lua | Choice::Script | Choice::File(_) => Ok(PathBuf::new()),
    };
    let plugin = match plugin {
        Ok(plugin) => plugin,
        Err(failure) => {
            let hint = failure.hint.unwrap_or_default();
            output::failed(&format!(
                "{}; {hint}; in a clone, `cargo build` without `-p` builds it",
                failure.message
            ));
            return exit::code(exit::USAGE);
        }
    };
    if let Choice::File(path) = &args.policy
        && let Err(code) = policy::is_usable(path)
    {
        return code;
    }
    let wish = Wish { policy: args.policy, plugin, is_json: args.json, is_kept: args.keep };
    exit::code(match launch::run(&wish) {
        End::Good => exit::OK,
        End::Bad => exit::FAILED,
        End::Unusable(why) => {
            output::failed(&format!("demo: {why}"));
            exit::USAGE
        }
        End::Forbidden => exit::FORBIDDEN,
    })
}

/// Runs the hidden command. It measures with the clock that the daemons' histories are written by.
pub fn run_inside(args: &inside::Args) -> ExitCode {
    inside::run(args, crate::daemon::now)
}
