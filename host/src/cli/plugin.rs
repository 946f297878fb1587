//! `plugin`: shows what a compiled policy says of itself, checks it before it is shipped.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Value, json};

use super::{exit, output, plugin_check, policy};
use crate::policy::protocol::Trial;
use crate::policy::{Engine, Failure, FailureKind, PolicySpec, Runner, engine_of};

/// Arguments of `plugin`.
#[derive(Debug, clap::Subcommand)]
pub enum Args {
    /// Say what a plugin is, what it may be told, what it asks for.
    Describe(DescribeArgs),
    /// Try a plugin with everything that a watchdog may do to it.
    Check(plugin_check::Args),
}

/// Arguments of `plugin describe`.
#[derive(Debug, clap::Args)]
pub struct DescribeArgs {
    /// A .so plugin, or the word "default".
    #[arg(value_name = "FILE")]
    plugin: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: &Args) -> ExitCode {
    policy::with_runtime("plugin", async || match args {
        Args::Describe(args) => describe(args).await,
        Args::Check(args) => plugin_check::check(args).await,
    })
}

/// How a plugin runs here.
///
/// # Errors
/// When it is no plugin.
pub(super) fn spec(plugin: &Path, folder: &Path) -> Result<PolicySpec, Failure> {
    let spec = policy::spec(plugin, folder)?;
    if spec.engine == Engine::Native {
        return Ok(spec);
    }
    let message = format!("{} is no plugin: a plugin's name ends in .so", plugin.display());
    Err(Failure::new(FailureKind::Load, message)
        .with_hint("`policy check` and `policy test` try a policy of any kind"))
}

async fn describe(args: &DescribeArgs) -> u8 {
    let loaded = match load(args).await {
        Ok(loaded) => loaded,
        Err(message) => {
            output::failed(&format!("plugin describe: {message}"));
            return exit::USAGE;
        }
    };
    let (description, warnings) = match loaded {
        Ok(runner) => (runner.describe(), runner.warnings().to_vec()),
        Err(failure) => {
            if args.json {
                let engine = engine_of(&args.plugin);
                output::json(
                    &json!({"ok": false, "engine": engine, "policy": args.plugin, "error": failure}),
                );
            } else {
                output::line(&failure.message);
                failure.hint.iter().for_each(|hint| output::line(&format!("hint: {hint}")));
            }
            return exit::FAILED;
        }
    };
    if args.json {
        output::json(
            &json!({"ok": true, "policy": args.plugin, "describe": description, "warnings": warnings}),
        );
    } else {
        output::line(&shown(&description));
        warnings.iter().for_each(|warning| output::line(&format!("warning: {warning}")));
    }
    exit::OK
}

/// Loads it as far as its description, which needs no configuration.
async fn load(args: &DescribeArgs) -> Result<Result<Runner, Failure>, String> {
    let folder =
        tempfile::tempdir().map_err(|error| format!("no temporary folder could be made: {error}"))?;
    let mut spec = match spec(&args.plugin, folder.path()) {
        Ok(spec) => spec,
        Err(failure) => return Ok(Err(failure)),
    };
    spec.terms.trial = Some(Trial::Describe);
    Ok(Runner::load(spec).await)
}

fn shown(description: &Value) -> String {
    let text = |key: &str| description[key].as_str().unwrap_or_default();
    let mut lines = vec![format!("{} {}", text("name"), text("version"))];
    if !text("contact").is_empty() {
        lines.push(format!("contact:  {}", text("contact")));
    }
    let asked: Vec<&str> =
        description["capabilities"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let asked =
        if asked.is_empty() { "nothing beyond the common host calls".to_owned() } else { asked.join(", ") };
    lines.push(format!("asks for: {asked}"));
    if let Some(deadline) = description["deadlineMs"].as_u64() {
        lines.push(format!("answers within {deadline} ms, as it says"));
    }
    lines.push("[policy.config]:".to_owned());
    let schema = &description["configSchema"];
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let properties = schema["properties"].as_object().into_iter().flatten();
    let before = lines.len();
    for (key, schema) in properties {
        let kind = match &schema["type"] {
            Value::String(kind) => kind.clone(),
            Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or "),
            _ => "value".to_owned(),
        };
        let default = if schema["default"].is_null() {
            String::new()
        } else {
            format!(", default {}", schema["default"])
        };
        let need = if required.contains(&key.as_str()) { ", required" } else { "" };
        let why = schema["description"].as_str().unwrap_or_default();
        lines.push(format!("  {key} ({kind}{need}{default})  {why}").trim_end().to_owned());
    }
    if lines.len() == before {
        lines.push("  nothing".to_owned());
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_for_people_says_what_may_be_configured() {
        let text = shown(&json!({"name": "acme", "version": "1.2.3", "contact": "support@example.com",
            "capabilities": ["tcp"], "deadlineMs": 5000,
            "configSchema": {"type": "object", "required": ["quorum"], "properties": {
                "quorum": {"type": "integer", "description": "How many."},
                "name": {"type": ["string", "null"], "default": "x"}}}}));
        for part in [
            "acme 1.2.3",
            "support@example.com",
            "asks for: tcp",
            "5000 ms",
            "quorum (integer, required)  How many.",
            "name (string or null, default \"x\")",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
    }
}
