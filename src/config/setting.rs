//! What can be configured, read from the definition of the command line: there is no second list.
//!
//! Invariant: an option with an environment variable is a setting. Its key in the file is the option's long name, and it means the
//! same wherever it is given, whichever commands take it.
use super::{DatabaseUrl, File, Source};
use clap::builder::ValueParser;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};
use std::any::TypeId;
use std::ffi::OsStr;

/// The option that names the file; the file cannot name itself.
pub const FILE_OPTION: &str = "config";

/// What a value is in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A string.
    Text,
    /// A whole number.
    Number,
    /// `true` or `false`.
    Switch,
}

/// Something that can be configured.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Its name in the file, and as an option.
    pub key: String,
    /// The environment variable.
    pub variable: String,
    /// What its value is in the file.
    pub kind: Kind,
    /// Whether its value is never shown.
    pub is_secret: bool,
    /// What it does, at full length.
    pub help: String,
    /// What it does, in a sentence.
    pub summary: String,
    /// What stands for its value in texts.
    pub placeholder: String,
    /// What holds where nobody says otherwise, if the definition knows.
    pub default: Option<String>,
    /// The commands that take it; none where all do.
    pub commands: Vec<String>,
    argument: Arg,
}

/// All settings, in the order in which the command line defines them.
#[derive(Clone, Debug)]
pub struct Settings(Vec<Setting>);

impl Settings {
    /// Those of `command` and of everything below it.
    pub fn of(command: &Command) -> Self {
        let mut settings = Self(Vec::new());
        settings.collect(command, &[]);
        settings
    }

    fn collect(&mut self, command: &Command, path: &[&str]) {
        for argument in command.get_arguments() {
            let Some(setting) = Setting::of(argument, path) else { continue };
            match self.0.iter_mut().find(|known| known.key == setting.key) {
                Some(known) => known.commands.extend(setting.commands),
                None => self.0.push(setting),
            }
        }
        for below in command.get_subcommands() {
            self.collect(below, &[path, &[below.get_name()]].concat());
        }
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Setting> {
        self.0.iter()
    }

    /// The one with this key.
    pub fn get(&self, key: &str) -> Option<&Setting> {
        self.iter().find(|setting| setting.key == key)
    }

    /// The key that `word` was probably meant to be.
    pub fn similar(&self, word: &str) -> Option<&str> {
        let word = word.to_lowercase().replace('_', "-");
        let measured = self.iter().map(|setting| (strsim::damerau_levenshtein(&setting.key, &word), setting.key.as_str()));
        // A third of the letters may be wrong.
        let near = measured.filter(|(distance, key)| *distance <= key.len() / 3);
        near.min().map(|(_, key)| key)
    }

    /// The settings that only some commands take, as hidden options for a command that takes them all.
    pub fn as_options(&self) -> impl Iterator<Item = Arg> {
        self.iter().filter(|setting| !setting.commands.is_empty()).map(|setting| setting.argument.clone().hide(true))
    }
}

impl Setting {
    fn of(argument: &Arg, path: &[&str]) -> Option<Self> {
        let (key, variable) = (argument.get_long()?, argument.get_env()?);
        if key == FILE_OPTION {
            return None;
        }
        let parser = argument.get_value_parser();
        let text = |styled: Option<&clap::builder::StyledStr>| styled.map(ToString::to_string).unwrap_or_default();
        let summary = text(argument.get_help());
        Some(Self {
            key: key.to_owned(),
            variable: variable.to_string_lossy().into_owned(),
            kind: Kind::of(parser),
            is_secret: parser.type_id() == TypeId::of::<DatabaseUrl>(),
            help: argument.get_long_help().map_or_else(|| summary.clone(), ToString::to_string),
            summary,
            placeholder: argument.get_value_names().unwrap_or_default().join(" "),
            default: argument.get_default_values().first().map(|value| value.to_string_lossy().into_owned()),
            commands: if argument.is_global_set() { Vec::new() } else { vec![path.join(" ")] },
            argument: argument.clone(),
        })
    }

    /// What is wrong with `text` as a value of it, if anything is. Says nothing of a secret's text.
    pub(super) fn check(&self, text: &str) -> Result<(), String> {
        // Without its variable: it is the text that is looked at.
        let argument = self.argument.clone().env(None::<&str>).global(false);
        let option = format!("--{}={text}", self.key);
        let parsed = Command::new("tallybook").no_binary_name(true).arg(argument).try_get_matches_from([option]);
        parsed.map(drop).map_err(|error| {
            let reason = std::error::Error::source(&error).map(ToString::to_string);
            match (self.is_secret, reason) {
                (true, _) => "it cannot be read".to_owned(),
                (false, Some(reason)) => format!("{text:?} will not do: {reason}"),
                (false, None) => {
                    let choices = self.argument.get_possible_values().iter().map(|v| v.get_name().to_owned()).collect::<Vec<_>>();
                    let choices = if choices.is_empty() { String::new() } else { format!(": {}", choices.join(" or ")) };
                    format!("{text:?} will not do{choices}")
                }
            }
        })
    }

    /// What `matches` hold of it, and where that comes from; `None` where the command does not take it.
    pub fn effective(&self, matches: &ArgMatches, file: Option<&File>) -> Option<(Option<String>, Source)> {
        let id = self.argument.get_id().as_str();
        let value = matches.try_get_raw(id).ok()?;
        let value = value.and_then(|mut values| values.next()).map(OsStr::to_string_lossy).map(String::from);
        let source = match (matches.value_source(id), file.and_then(|file| file.line(&self.key))) {
            (Some(ValueSource::CommandLine), _) => Source::Option,
            (Some(ValueSource::EnvVariable), _) => Source::Environment,
            (Some(_), Some(line)) => Source::File { line },
            (Some(_), None) => Source::Default,
            (None, _) => Source::Unset,
        };
        Some((value, source))
    }
}

impl Kind {
    fn of(parser: &ValueParser) -> Self {
        let is = |ids: &[TypeId]| ids.iter().any(|id| parser.type_id() == *id);
        if is(&[TypeId::of::<bool>()]) {
            Self::Switch
        } else if is(&[TypeId::of::<u16>(), TypeId::of::<u32>(), TypeId::of::<u64>(), TypeId::of::<i64>(), TypeId::of::<usize>()])
        {
            Self::Number
        } else {
            Self::Text
        }
    }

    /// How a value of it is called.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Text => "a string",
            Self::Number => "a whole number",
            Self::Switch => "true or false",
        }
    }

    /// `text` as the file has it.
    pub fn in_file(self, text: &str) -> String {
        match self {
            Self::Text => toml::Value::String(text.to_owned()).to_string(),
            Self::Number | Self::Switch => text.to_owned(),
        }
    }
}
