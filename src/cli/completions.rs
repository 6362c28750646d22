//! `tallybook completions`: what a shell needs to complete the command line.
use super::Outcome;
use super::output::Output;
use clap_complete::{Shell, generate};

const AFTER_HELP: &str = "\
Examples:
  tallybook completions bash > ~/.local/share/bash-completion/completions/tallybook
  tallybook completions zsh > ~/.zfunc/_tallybook
  tallybook completions fish > ~/.config/fish/completions/tallybook.fish";

/// Print the completion script of a shell.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// The shell.
    shell: Shell,
}

/// Prints the script.
pub(super) fn run(arguments: &Arguments, mut command: clap::Command, out: &mut Output) -> anyhow::Result<Outcome> {
    let mut script = Vec::new();
    generate(arguments.shell, &mut command, "tallybook", &mut script);
    out.attempt(|writer| writer.write_all(&script))?;
    Ok(Outcome::Done)
}
