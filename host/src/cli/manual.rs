//! What is generated from the tree of commands: shell completions, man pages.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Command;
use clap_complete::Shell;

use super::{exit, output};

/// Arguments of `completions`.
#[derive(Debug, clap::Args)]
pub(super) struct Completions {
    /// The shell that completes.
    shell: Shell,
}

/// Arguments of `man`.
#[derive(Debug, clap::Args)]
pub(super) struct Man {
    /// Write every page into this folder, instead of the first one to standard output.
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
}

/// Prints the completions of a shell.
pub(super) fn completions(args: &Completions, mut tree: Command) -> ExitCode {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut tree, "dr-watchdog", &mut text);
    output::line(String::from_utf8_lossy(&text).trim_end());
    exit::code(exit::OK)
}

/// Prints or writes the pages.
pub(super) fn man(args: &Man, tree: Command) -> ExitCode {
    let mut tree = tree.disable_help_subcommand(true);
    // Gives each command below the name of its page.
    tree.build();
    let ended = match &args.folder {
        None => page(tree).map(|text| output::line(text.trim_end())),
        Some(folder) => std::fs::create_dir_all(folder)
            .and_then(|()| pages(&tree, folder))
            .map(|written| output::line(&format!("{written} pages are in {}", folder.display()))),
    };
    match ended {
        Ok(()) => exit::code(exit::OK),
        Err(error) => {
            output::failed(&format!("the man pages cannot be written: {error}"));
            exit::code(exit::FAILED)
        }
    }
}

fn page(command: Command) -> std::io::Result<String> {
    let mut text = Vec::new();
    clap_mangen::Man::new(command).render(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// One page for each command that people may type; the depth is that of the tree.
fn pages(command: &Command, folder: &Path) -> std::io::Result<usize> {
    let mut written = 1;
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        written += pages(below, folder)?;
    }
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    std::fs::write(folder.join(format!("{name}.1")), page(command.clone())?)?;
    Ok(written)
}
