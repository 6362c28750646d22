//! The configuration file: where it is, what is in it, and what is wrong with it.
//!
//! Invariant: nothing in it is passed over. An unknown key, a value of another type and a value that will not do are refused, with
//! the line, before anything is done. No message repeats a secret.
use super::setting::{FILE_OPTION, Kind, Settings};
use clap::Command;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Where it is for the whole machine.
const SYSTEM: &str = "/etc/tallybook/tallybook.toml";
/// Its place below the user's home of configuration.
const OF_USER: &str = "tallybook/tallybook.toml";

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("the configuration file {} cannot be read: {source}; give another with --config or TALLYBOOK_CONFIG", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is not TOML.
    #[error("{}, line {line}: this is not TOML: {reason}; a setting is written as: listen = \"127.0.0.1:8080\"", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// It says something that nobody asks for.
    #[error("{}, line {line}: there is no setting {key:?}; {advice}", path.display())]
    Unknown {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What it says.
        key: String,
        /// What to do.
        advice: String,
    },
    /// A value is of another type than the setting's.
    #[error("{}, line {line}: {key} is {expected}, not {found}; write {example}", path.display())]
    Type {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The setting.
        key: String,
        /// What it must be.
        expected: &'static str,
        /// What it is.
        found: String,
        /// How to write it.
        example: String,
    },
    /// A value that the setting does not take.
    #[error("{}, line {line}: {key}: {reason}; `tallybook config --example` tells what it may be", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The setting.
        key: String,
        /// What is wrong.
        reason: String,
    },
}

/// What a file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Where it is.
    pub path: PathBuf,
    values: BTreeMap<String, Value>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Value {
    text: String,
    line: usize,
}

impl File {
    /// The file at `path`, or the one in a fixed place, if there is one.
    pub fn find(path: Option<&Path>, settings: &Settings) -> Result<Option<Self>, Error> {
        if let Some(path) = path {
            return Self::read(path, settings).map(Some);
        }
        for path in fixed_places(|variable| std::env::var_os(variable)) {
            match Self::read(&path, settings) {
                Err(Error::Unreadable { source, .. }) if is_absence(&source) => {}
                read => return read.map(Some),
            }
        }
        Ok(None)
    }

    fn read(path: &Path, settings: &Settings) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(|source| Error::Unreadable { path: path.to_owned(), source })?;
        Self::parse(path, &text, settings)
    }

    /// Reads `text`, which `path` holds.
    pub fn parse(path: &Path, text: &str, settings: &Settings) -> Result<Self, Error> {
        let line = |offset: usize| text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1;
        let table = DeTable::parse(text).map_err(|error| Error::Syntax {
            path: path.to_owned(),
            line: line(error.span().map_or(0, |span| span.start)),
            reason: error.message().to_owned(),
        })?;
        let mut values = BTreeMap::new();
        for (key, value) in table.get_ref() {
            let line = line(key.span().start);
            let text = check(path, line, key.get_ref(), value, settings)?;
            values.insert(key.get_ref().clone().into_owned(), Value { text, line });
        }
        Ok(Self { path: path.to_owned(), values })
    }

    /// The line that says what `key` is, from 1.
    pub(super) fn line(&self, key: &str) -> Option<usize> {
        self.values.get(key).map(|value| value.line)
    }

    /// The command line with what the file says in the place of its defaults.
    #[must_use]
    pub fn beneath(&self, command: Command) -> Command {
        let command = command.mut_args(|argument| match argument.get_long().and_then(|long| self.values.get(long)) {
            Some(value) if argument.get_env().is_some() => argument.default_value(value.text.clone()),
            _ => argument,
        });
        command.mut_subcommands(|below| self.beneath(below))
    }
}

/// The text of a value that will do.
fn check(path: &Path, line: usize, key: &str, value: &Spanned<DeValue<'_>>, settings: &Settings) -> Result<String, Error> {
    let (path, key) = (path.to_owned(), key.to_owned());
    let Some(setting) = settings.get(&key) else {
        let advice = advice(&key, settings);
        return Err(Error::Unknown { path, line, key, advice });
    };
    let text = match (setting.kind, value.get_ref()) {
        (Kind::Text, DeValue::String(text)) => Some(text.clone().into_owned()),
        (Kind::Switch, DeValue::Boolean(on)) => Some(on.to_string()),
        (Kind::Number, DeValue::Integer(number)) => {
            i64::from_str_radix(number.as_str(), number.radix()).ok().map(|number| number.to_string())
        }
        _ => None,
    };
    let Some(text) = text else {
        let found = format!(
            "{} {}",
            if value.get_ref().is_integer() || value.get_ref().is_array() { "an" } else { "a" },
            value.get_ref().type_str()
        );
        let sample = match setting.kind {
            Kind::Text => "\"...\"",
            Kind::Number => setting.default.as_deref().unwrap_or("100"),
            Kind::Switch => "true",
        };
        let example = format!("{key} = {sample}");
        return Err(Error::Type { path, line, key, expected: setting.kind.name(), found, example });
    };
    setting.check(&text).map_err(|reason| Error::Value { path, line, key, reason })?;
    Ok(text)
}

/// What to write in the place of a key that means nothing.
fn advice(key: &str, settings: &Settings) -> String {
    if key == FILE_OPTION {
        return "a file cannot name another: give it with --config or TALLYBOOK_CONFIG".to_owned();
    }
    let meant = settings.similar(key).map(|meant| format!("did you mean {meant:?}? "));
    format!("{}`tallybook config --example` lists all", meant.unwrap_or_default())
}

/// The user's own place, then the machine's.
fn fixed_places(variable: impl Fn(&str) -> Option<OsString>) -> impl Iterator<Item = PathBuf> {
    // A relative one is none: https://specifications.freedesktop.org/basedir-spec/latest/
    let path = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = path("XDG_CONFIG_HOME").or_else(|| path("HOME").map(|home| home.join(".config")));
    home.map(|home| home.join(OF_USER)).into_iter().chain([PathBuf::from(SYSTEM)])
}

fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Options;
    use clap::{Arg, Args};

    fn settings() -> Settings {
        let level = Arg::new("connections").long("connections").env("C").value_parser(clap::value_parser!(u32).range(4..=1000));
        let switch = Arg::new("proxy").long("behind-proxy").env("P").value_parser(clap::value_parser!(bool));
        let no_setting = Arg::new("days").long("days");
        Settings::of(
            &Options::augment_args(Command::new("t")).subcommand(Command::new("serve").args([level, switch, no_setting])),
        )
    }

    fn refused(text: &str) -> String {
        File::parse(Path::new("/f.toml"), text, &settings()).unwrap_err().to_string()
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line_and_what_to_do() {
        insta::assert_snapshot!(refused("log-level = \"info\"\n\nlisten"), @r#"/f.toml, line 3: this is not TOML: key with no value, expected `=`; a setting is written as: listen = "127.0.0.1:8080""#);
        insta::assert_snapshot!(refused("# a\nconections = 3"), @r#"/f.toml, line 2: there is no setting "conections"; did you mean "connections"? `tallybook config --example` lists all"#);
        insta::assert_snapshot!(refused("log_level = 'info'"), @r#"/f.toml, line 1: there is no setting "log_level"; did you mean "log-level"? `tallybook config --example` lists all"#);
        insta::assert_snapshot!(refused("[serve]\nconnections = 4"), @r#"/f.toml, line 1: there is no setting "serve"; `tallybook config --example` lists all"#);
        insta::assert_snapshot!(refused("days = 4"), @r#"/f.toml, line 1: there is no setting "days"; `tallybook config --example` lists all"#);
        insta::assert_snapshot!(refused("config = 'x'"), @r#"/f.toml, line 1: there is no setting "config"; a file cannot name another: give it with --config or TALLYBOOK_CONFIG"#);
        insta::assert_snapshot!(refused("connections = '4'"), @"/f.toml, line 1: connections is a whole number, not a string; write connections = 100");
        insta::assert_snapshot!(refused("behind-proxy = 1"), @"/f.toml, line 1: behind-proxy is true or false, not an integer; write behind-proxy = true");
        insta::assert_snapshot!(refused("log-level = ['a']"), @r#"/f.toml, line 1: log-level is a string, not an array; write log-level = "...""#);
        insta::assert_snapshot!(refused("connections = 3"), @r#"/f.toml, line 1: connections: "3" will not do: 3 is not in 4..=1000; `tallybook config --example` tells what it may be"#);
        insta::assert_snapshot!(refused("log-format = 'xml'"), @r#"/f.toml, line 1: log-format: "xml" will not do: text or json; `tallybook config --example` tells what it may be"#);
        insta::assert_snapshot!(refused("log-level = 'a'\nlog-level = 'b'"), @r#"/f.toml, line 2: this is not TOML: duplicate key; a setting is written as: listen = "127.0.0.1:8080""#);
    }

    #[test]
    fn no_message_repeats_a_secret() {
        for text in
            ["database-url = 'hunter2", "database-url = hunter2", "database-url = ['hunter2']", "database-url = \"hunter2\\q\""]
        {
            let told = refused(text);
            assert!(!told.contains("hunter2"), "{told}");
        }
    }

    #[test]
    fn a_file_stands_beneath_the_command_line() {
        let text = "connections = 0x10\nbehind-proxy = true\nlog-format = 'json'\n";
        let file = File::parse(Path::new("/f.toml"), text, &settings()).unwrap();
        assert_eq!((file.line("log-format"), file.line("log-level")), (Some(3), None));
        assert_eq!(file.values["connections"].text, "16");
    }

    #[test]
    fn the_fixed_places_are_the_users_and_the_machines() {
        let places = |xdg: Option<&str>, home: Option<&str>| {
            let variable = |name: &str| if name == "HOME" { home } else { xdg }.map(OsString::from);
            fixed_places(variable).map(|path| path.to_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(places(Some("/x"), Some("/h")), ["/x/tallybook/tallybook.toml", SYSTEM]);
        assert_eq!(places(Some("x"), Some("/h")), ["/h/.config/tallybook/tallybook.toml", SYSTEM]);
        assert_eq!(places(None, None), [SYSTEM]);
    }
}
