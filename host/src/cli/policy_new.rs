//! `policy new`: begins a policy with a template that passes its own cases.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::{exit, output};

/// Longest name.
const NAME_CHARS_MAX: usize = 64;
/// Where the SDK lies, seen from a new Rust policy, unless `--sdk` says otherwise.
const SDK_BESIDE: &str = "../dr-watchdog/sdk";

/// Arguments of `policy new`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Letters, digits, - and _.
    #[arg(value_name = "NAME", value_parser = name)]
    name: String,
    /// What it is written in.
    #[arg(long, value_enum)]
    kind: Kind,
    /// Where to write it.
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// The folder of the dr-watchdog SDK, for Rust.
    #[arg(long, value_name = "DIR")]
    sdk: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// What a policy is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// One file; the watchdog runs it in a sandbox.
    Lua,
    /// A plugin by the SDK.
    Rust,
    /// A plugin by the header.
    C,
    /// A shell script.
    Script,
}

/// One file of a template.
struct Piece {
    path: String,
    text: &'static str,
    mode: u32,
}

const TEXT_MODE: u32 = 0o644;
const PROGRAM_MODE: u32 = 0o755;

fn pieces(kind: Kind, name: &str) -> Vec<Piece> {
    let piece = |path: String, text| Piece { path, text, mode: TEXT_MODE };
    let cases =
        |folder: &str| piece(format!("{folder}{name}.cases.json"), include_str!("templates/cases.json.tmpl"));
    let within = format!("{name}/");
    match kind {
        Kind::Lua => vec![piece(format!("{name}.lua"), include_str!("templates/policy.lua.tmpl")), cases("")],
        Kind::Script => vec![
            Piece {
                mode: PROGRAM_MODE,
                ..piece(format!("{name}.sh"), include_str!("templates/policy.sh.tmpl"))
            },
            cases(""),
        ],
        Kind::Rust => vec![
            piece(format!("{within}Cargo.toml"), include_str!("templates/Cargo.toml.tmpl")),
            piece(format!("{within}src/lib.rs"), include_str!("templates/lib.rs.tmpl")),
            cases(&within),
        ],
        Kind::C => vec![
            piece(format!("{within}{name}.c"), include_str!("templates/policy.c.tmpl")),
            piece(format!("{within}drw_policy.h"), dr_watchdog_sdk::abi::HEADER),
            piece(format!("{within}Makefile"), include_str!("templates/Makefile.tmpl")),
            cases(&within),
        ],
    }
}

/// What to type next.
fn next(kind: Kind, name: &str) -> Vec<String> {
    let ident = ident(name);
    match kind {
        Kind::Lua => vec![
            format!("dr-watchdog policy check {name}.lua"),
            format!("dr-watchdog policy test {name}.lua"),
            "dr-watchdog policy types .        # completion in your editor".to_owned(),
        ],
        Kind::Script => {
            vec![format!("dr-watchdog policy check {name}.sh"), format!("dr-watchdog policy test {name}.sh")]
        }
        Kind::Rust => vec![
            format!("cd {name} && cargo build --release"),
            format!("dr-watchdog plugin check target/release/lib{ident}.so"),
            format!("dr-watchdog policy test target/release/lib{ident}.so --cases {name}.cases.json"),
        ],
        Kind::C => vec![
            format!("cd {name} && make"),
            format!("dr-watchdog plugin check {name}.so"),
            format!("dr-watchdog policy test {name}.so"),
        ],
    }
}

/// Runs the command; its exit status.
pub fn new(args: &Args) -> u8 {
    match write(args) {
        Ok(written) => {
            let next = next(args.kind, &args.name);
            if args.json {
                output::json(&json!({"ok": true, "written": written, "next": next}));
            } else {
                written.iter().for_each(|file| output::line(&format!("wrote {}", file.display())));
                output::line("next:");
                next.iter().for_each(|line| output::line(&format!("  {line}")));
            }
            exit::OK
        }
        Err(why) => {
            output::failed(&format!("policy new: {why}"));
            exit::USAGE
        }
    }
}

fn write(args: &Args) -> Result<Vec<PathBuf>, String> {
    let sdk = match &args.sdk {
        Some(folder) => std::path::absolute(folder).map_err(|error| format!("--sdk: {error}"))?,
        None => PathBuf::from(SDK_BESIDE),
    };
    let filled = |text: &str| {
        let sdk = sdk.display().to_string();
        text.replace("@NAME@", &args.name).replace("@IDENT@", &ident(&args.name)).replace("@SDK@", &sdk)
    };
    let pieces = pieces(args.kind, &args.name);
    // All or nothing: half a template beside somebody's own file helps nobody.
    if let Some(there) = pieces.iter().map(|piece| args.dir.join(&piece.path)).find(|path| path.exists()) {
        return Err(format!(
            "{} is there already, and nothing was written; choose another name",
            there.display()
        ));
    }
    let mut written = Vec::new();
    for piece in pieces {
        let path = args.dir.join(&piece.path);
        create(&path, &filled(piece.text), piece.mode)
            .map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
        written.push(path);
    }
    Ok(written)
}

fn create(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?.write_all(text.as_bytes())
}

/// The name as Rust has it.
fn ident(name: &str) -> String {
    name.replace('-', "_")
}

/// A name that is one word for every file system, compiler and shell.
fn name(text: &str) -> Result<String, String> {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
    let begins_well = text.starts_with(|letter: char| letter.is_ascii_alphabetic());
    if begins_well && text.chars().all(is_plain) && text.chars().count() <= NAME_CHARS_MAX {
        Ok(text.to_owned())
    } else {
        Err(format!("a letter first, then letters, digits, - and _, at most {NAME_CHARS_MAX}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_word_everywhere() {
        for good in ["a", "lag-guard", "Lag_guard2"] {
            assert!(name(good).is_ok(), "{good}");
        }
        for bad in ["", "2x", "a b", "../x", "a.lua", "ä", &"x".repeat(65)] {
            assert!(name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn no_template_leaves_a_mark_unfilled() {
        for kind in [Kind::Lua, Kind::Rust, Kind::C, Kind::Script] {
            let folder = tempfile::tempdir().unwrap();
            let args =
                Args { name: "own-policy".into(), kind, dir: folder.path().into(), sdk: None, json: false };
            for path in write(&args).unwrap() {
                let text = fs::read_to_string(&path).unwrap();
                let marks = ["@NAME@", "@IDENT@", "@SDK@"];
                assert!(marks.iter().all(|mark| !text.contains(mark)), "{}", path.display());
            }
            assert!(write(&args).unwrap_err().contains("there already"));
        }
    }
}
