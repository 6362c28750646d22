//! Reads the command line, with the environment and the configuration file beneath it.
//!
//! It is parsed twice: once to learn which file is meant, and again with what the file says in the place of the defaults. Hence one
//! definition does for all three, and the precedence is clap's own.
use super::Cli;
use crate::config::document::{Effective, effective};
use crate::config::{FILE_OPTION, File, FileError, Settings, Source};
use clap::{ArgMatches, Command, CommandFactory, FromArgMatches};
use std::ffi::OsString;
use std::path::PathBuf;

/// The command that takes every setting as an option.
pub(super) const CONFIG: &str = "config";

/// What was given, and where.
#[derive(Debug)]
pub(super) struct Given {
    /// All that can be given.
    pub(super) settings: Settings,
    /// The file that was read.
    pub(super) file: Option<File>,
    matches: ArgMatches,
}

/// Why the command line cannot be obeyed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// It makes no sense, or asks for help; clap says it.
    #[error(transparent)]
    Line(#[from] clap::Error),
    /// The file makes no sense.
    #[error(transparent)]
    File(#[from] FileError),
}

impl Given {
    /// What holds for each setting that the command takes.
    pub(super) fn effective(&self) -> Vec<Effective<'_>> {
        effective(&self.settings, deepest(&self.matches), self.file.as_ref())
    }

    /// Where the value of a setting comes from.
    pub(super) fn source(&self, key: &str) -> Source {
        let found = self.settings.get(key).and_then(|setting| setting.effective(deepest(&self.matches), self.file.as_ref()));
        found.map_or(Source::Unset, |(_, source)| source)
    }
}

/// The command line's definition: [`super::Cli`], and every setting as an option of `tallybook config`.
pub(super) fn definition() -> (Command, Settings) {
    let command = Cli::command();
    let settings = Settings::of(&command);
    let command = command.mut_subcommand(CONFIG, |config| config.args(settings.as_options()));
    (command, settings)
}

/// Reads `arguments`, this process's environment, and the file.
pub(super) fn parse(arguments: &[OsString]) -> Result<(Cli, Given), Error> {
    let (command, settings) = definition();
    let command = without_empty_variables(command);
    let matches = command.clone().try_get_matches_from(arguments)?;
    let file = File::find(matches.get_one::<PathBuf>(FILE_OPTION).map(PathBuf::as_path), &settings)?;
    let (command, matches) = match &file {
        Some(file) => {
            let command = file.beneath(command);
            let matches = command.clone().try_get_matches_from(arguments)?;
            (command, matches)
        }
        None => (command, matches),
    };
    let cli = Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command.clone()))?;
    Ok((cli, Given { settings, file, matches }))
}

/// A variable that is empty is one that is not set: so says everybody who writes `NAME=` into a file of variables.
fn without_empty_variables(command: Command) -> Command {
    let is_empty = |variable: &std::ffi::OsStr| std::env::var_os(variable).is_some_and(|value| value.is_empty());
    let command = command.mut_args(|argument| match argument.get_env() {
        Some(variable) if is_empty(variable) => argument.env(None::<&str>),
        _ => argument,
    });
    command.mut_subcommands(without_empty_variables)
}

/// Those of the command that was named last; it has the shared ones too.
fn deepest(mut matches: &ArgMatches) -> &ArgMatches {
    while let Some((_, below)) = matches.subcommand() {
        matches = below;
    }
    matches
}
