//! What can be configured, and the part of it that every command shares: where the data is, and how much is said about it.
//!
//! The command line's definition is the only list of settings: [`Settings`] reads them from it, a [`File`] stands beneath it, and
//! [`document`] writes it down. Precedence: option, environment, file, default. Opens no database: that is [`crate::db::database`].
pub mod document;
mod file;
mod secret;
mod setting;

pub use file::{Error as FileError, File};
pub use secret::{Error as SecretError, read as read_secret};
pub use setting::{FILE_OPTION, Kind, Setting, Settings};

use crate::embedded;
use crate::telemetry::log::Format;
use sqlx::postgres::PgConnectOptions;
use std::cmp::Ordering;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Schemes of a PostgreSQL URL.
const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];

/// Options that every command takes.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Configuration file
    ///
    /// TOML: each setting is the name of an option, without its dashes; `tallybook config --example` prints all of them. By default
    /// tallybook/tallybook.toml in the user's home of configuration, else /etc/tallybook/tallybook.toml, where there is one. An option
    /// comes before its environment variable, and that before the file.
    #[arg(
        long,
        env = "TALLYBOOK_CONFIG",
        hide_env_values = true,
        value_name = "FILE",
        global = true,
        help_heading = "Configuration"
    )]
    pub config: Option<PathBuf>,

    /// Database to use [default: a private PostgreSQL in the data directory]
    ///
    /// PostgreSQL 15 or newer, as `postgres://user:password@host:5432/database`. Prefer the variable to the
    /// option: other users of the machine can read options, and the password in them.
    #[arg(
        long,
        env = "DATABASE_URL",
        hide_env_values = true,
        value_name = "URL",
        global = true,
        help_heading = "Where the data is"
    )]
    pub database_url: Option<DatabaseUrl>,

    /// The database's own address, where `DATABASE_URL` is that of a connection pooler
    ///
    /// What needs a session of its own, or another database, uses it (`migrate`, `serve` when migrations are missing, `adopt`,
    /// `schedule pg-cron`, `backup`, `restore`, `bench`): a pooler that lends sessions for a transaction would keep their locks.
    #[arg(
        long,
        env = "DATABASE_DIRECT_URL",
        hide_env_values = true,
        value_name = "URL",
        global = true,
        help_heading = "Where the data is"
    )]
    pub database_direct_url: Option<DatabaseUrl>,

    /// File that holds the database's URL
    ///
    /// In the place of --database-url, as orchestrators mount secrets; the end of its line is not part of it.
    #[arg(
        long,
        env = "DATABASE_URL_FILE",
        hide_env_values = true,
        value_name = "FILE",
        global = true,
        help_heading = "Where the data is"
    )]
    pub database_url_file: Option<PathBuf>,

    /// File that holds the password for the database's URL
    ///
    /// It takes the place of a password in the URL.
    #[arg(
        long,
        env = "DATABASE_PASSWORD_FILE",
        hide_env_values = true,
        value_name = "FILE",
        global = true,
        help_heading = "Where the data is"
    )]
    pub database_password_file: Option<PathBuf>,

    /// Directory of the private PostgreSQL
    ///
    /// By default /var/lib/tallybook for root, else `tallybook` in the user's data home.
    #[arg(
        long,
        env = "TALLYBOOK_DATA_DIR",
        hide_env_values = true,
        value_name = "DIR",
        global = true,
        help_heading = "Where the data is"
    )]
    pub data_dir: Option<OsString>,

    /// What to log on standard error [default: info for serve, else warn]
    ///
    /// error, warn, info, debug, trace or off, or directives such as `info,tallybook::rollup=debug`.
    #[arg(long, env = "TALLYBOOK_LOG", hide_env_values = true, value_name = "LEVEL", global = true, help_heading = "Logs")]
    pub log_level: Option<String>,

    /// How to write logs
    #[arg(
        long,
        env = "TALLYBOOK_LOG_FORMAT",
        hide_env_values = true,
        value_name = "FORMAT",
        value_enum,
        default_value_t,
        global = true,
        help_heading = "Logs"
    )]
    pub log_format: Format,
}

/// Where a setting's value comes from; what comes later takes precedence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// Nobody has given one.
    Unset,
    /// The definition's own.
    Default,
    /// The configuration file.
    File {
        /// The line, from 1.
        line: usize,
    },
    /// The environment variable.
    Environment,
    /// The option.
    Option,
}

impl Source {
    /// The place, without where in it.
    fn place(self) -> Self {
        if matches!(self, Self::File { .. }) { Self::File { line: 0 } } else { self }
    }
}

/// A database's URL as it was given, which may hold a password: never shown, whatever asks for it.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(String);

impl FromStr for DatabaseUrl {
    type Err = std::convert::Infallible;

    /// Takes anything: a refusal here would be shown together with the text.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

impl DatabaseUrl {
    /// The URL, unless it is empty: an empty variable is as good as none.
    fn given(&self) -> Option<&str> {
        Some(self.0.trim()).filter(|url| !url.is_empty())
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DatabaseUrl(..)")
    }
}

/// Why the options make no configuration. No message repeats the URL.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not a URL of PostgreSQL.
    #[error(
        "{0} is not a PostgreSQL URL: it must begin with postgres://; write it as postgres://user:password@host:5432/database"
    )]
    Scheme(&'static str),
    /// A URL that the driver refuses.
    #[error(
        "{option} cannot be read: {reason}; write it as postgres://user:password@host:5432/database, special characters of the password percent-encoded"
    )]
    Url {
        /// Which one.
        option: &'static str,
        /// What the driver says.
        reason: String,
    },
    /// Two URLs, of which none takes precedence.
    #[error("database-url and database-url-file are both given in the same place; keep one of them")]
    TwoUrls,
    /// A password that opens nothing.
    #[error("database-password-file (DATABASE_PASSWORD_FILE) is given and no database's URL; give that as well")]
    PasswordAlone,
    /// A secret's file cannot be used.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A URL that leaves the database to chance.
    #[error("{0} names no database; write it as postgres://user:password@host:5432/database")]
    NoDatabase(&'static str),
}

/// Where a command finds its data.
#[derive(Clone, Debug)]
pub struct Config {
    /// The database.
    pub database: Place,
}

/// A database, not yet opened.
#[derive(Clone)]
pub enum Place {
    /// One that somebody else runs.
    Url(Box<Address>),
    /// The private PostgreSQL in this directory.
    Private(PathBuf),
}

/// Where somebody else's database is.
#[derive(Clone)]
pub struct Address {
    /// How to connect to it.
    pub options: PgConnectOptions,
    /// How to connect to it past a pooler, where there is one.
    pub direct: Option<PgConnectOptions>,
}

/// A database without a pooler in front of it.
impl From<PgConnectOptions> for Place {
    fn from(options: PgConnectOptions) -> Self {
        Self::Url(Box::new(Address { options, direct: None }))
    }
}

impl Config {
    /// Reads the options. Call it before logs are set up: the driver logs parameters of the URL that it does not know.
    pub fn new(options: &Options) -> Result<Self, Error> {
        const URL: &str = "DATABASE_URL (or --database-url)";
        const DIRECT_URL: &str = "DATABASE_DIRECT_URL (or --database-direct-url)";
        let url = match (&options.database_url, &options.database_url_file) {
            (Some(url), _) => Some(url.0.clone()),
            (None, Some(path)) => Some(secret::read(path, "--database-url-file")?),
            (None, None) => None,
        };
        let url = url.as_deref().map(str::trim).filter(|url| !url.is_empty());
        let password =
            options.database_password_file.as_ref().map(|path| secret::read(path, "--database-password-file")).transpose()?;
        let parse = |url: &str, option| {
            let connect = parse(url, option)?;
            Ok::<_, Error>(match &password {
                Some(password) => connect.password(password),
                None => connect,
            })
        };
        let database = match (url, options.data_dir.as_ref().filter(|dir| !dir.is_empty())) {
            (Some(url), _) => {
                let direct = options.database_direct_url.as_ref().and_then(DatabaseUrl::given);
                let direct = direct.map(|url| parse(url, DIRECT_URL)).transpose()?;
                Place::Url(Box::new(Address { options: parse(url, URL)?, direct }))
            }
            (None, _) if password.is_some() => return Err(Error::PasswordAlone),
            (None, Some(dir)) => Place::Private(dir.into()),
            (None, None) => Place::Private(embedded::default_data_dir()),
        };
        Ok(Self { database })
    }
}

impl Options {
    /// Keeps that one of the URL and its file which comes from the place that takes precedence.
    pub fn settle(&mut self, source: impl Fn(&str) -> Source) -> Result<(), Error> {
        if self.database_url.is_none() || self.database_url_file.is_none() {
            return Ok(());
        }
        match source("database-url").place().cmp(&source("database-url-file").place()) {
            Ordering::Less => self.database_url = None,
            Ordering::Equal => return Err(Error::TwoUrls),
            Ordering::Greater => self.database_url_file = None,
        }
        Ok(())
    }
}

impl fmt::Display for Place {
    /// For messages: enough to find it, never a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Private(dir) => write!(f, "the private PostgreSQL in {}", dir.display()),
            Self::Url(address) => {
                let options = &address.options;
                let database = options.get_database().unwrap_or_else(|| options.get_username());
                match options.get_socket() {
                    Some(socket) => write!(f, "database {database} at {}", socket.display())?,
                    None => write!(f, "database {database} at {}:{}", options.get_host(), options.get_port())?,
                }
                write!(f, " as user {}", options.get_username())
            }
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Place({self})")
    }
}

fn parse(url: &str, option: &'static str) -> Result<PgConnectOptions, Error> {
    if !SCHEMES.iter().any(|scheme| url.starts_with(scheme)) {
        return Err(Error::Scheme(option));
    }
    let options = PgConnectOptions::from_str(url).map_err(|error| Error::Url { option, reason: reason(&error) })?;
    if options.get_database().is_none_or(str::is_empty) {
        return Err(Error::NoDatabase(option));
    }
    Ok(options)
}

/// What the driver says of a URL, without the words that every such error begins with.
fn reason(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Configuration(inner) => inner.to_string(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(database_url: Option<&str>, data_dir: Option<&str>) -> Options {
        Options {
            config: None,
            database_url: database_url.map(|url| DatabaseUrl(url.to_owned())),
            database_direct_url: None,
            database_url_file: None,
            database_password_file: None,
            data_dir: data_dir.map(Into::into),
            log_level: None,
            log_format: Format::Text,
        }
    }

    fn place(database_url: Option<&str>, data_dir: Option<&str>) -> String {
        Config::new(&options(database_url, data_dir)).unwrap().database.to_string()
    }

    #[test]
    fn a_url_comes_before_the_private_database_and_an_empty_one_is_none() {
        assert_eq!(
            place(Some("postgres://app:hunter2@db.example:6000/usage?sslmode=disable"), Some("/d")),
            "database usage at db.example:6000 as user app"
        );
        assert_eq!(place(Some("postgresql://app@%2Frun%2Fpg/usage"), None), "database usage at /run/pg as user app");
        assert_eq!(place(Some(" "), Some("/d")), "the private PostgreSQL in /d");
        assert_eq!(place(None, Some("/d")), "the private PostgreSQL in /d");
    }

    #[test]
    fn a_bad_url_is_refused_without_its_password() {
        for bad in [
            "mysql://app:hunter2@db/usage",
            "hunter2",
            "postgres://app:hunter2@db:99999/usage",
            "postgres://app:hun/ter2@db/usage",
            "postgres://app:hunter2@db/usage?port=hunter2",
        ] {
            let error = Config::new(&options(Some(bad), None)).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
            assert!(error.contains("postgres://user:password@host:5432/database"), "{error}");
        }
        assert!(matches!(Config::new(&options(Some("postgres://app@db"), None)), Err(Error::NoDatabase(_))));
    }

    #[test]
    fn the_address_past_a_pooler_is_told_from_the_other() {
        let with = |direct: &str| {
            let direct = Some(DatabaseUrl(direct.to_owned()));
            Config::new(&Options { database_direct_url: direct, ..options(Some("postgres://app@pooler:6432/usage"), None) })
        };
        let Place::Url(address) = with("postgres://owner@db/usage").unwrap().database else {
            panic!("a URL is no private place")
        };
        assert_eq!((address.options.get_host(), address.direct.unwrap().get_host()), ("pooler", "db"));
        assert!(matches!(with(" ").unwrap().database, Place::Url(address) if address.direct.is_none()));
        let error = with("postgres://owner:hunter2@db").unwrap_err().to_string();
        assert!(error.starts_with("DATABASE_DIRECT_URL") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn nothing_shows_a_password() {
        let shown = format!("{:?}", options(Some("postgres://app:hunter2@db/usage"), None));
        let config = format!("{:?}", Config::new(&options(Some("postgres://app:hunter2@db/usage"), None)).unwrap());
        assert!(!shown.contains("hunter2") && !config.contains("hunter2"), "{shown} {config}");
    }

    #[test]
    fn a_url_and_its_password_may_lie_in_files() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            Some(path)
        };
        let in_files = Options {
            database_url_file: file("url", "postgres://app@db.example/usage\n"),
            database_password_file: file("password", "hunter2/%\n"),
            ..options(None, None)
        };
        let Place::Url(given) = Config::new(&in_files).unwrap().database else { panic!("a URL was given") };
        assert_eq!(given.options.get_host(), "db.example");
        assert!(sqlx::ConnectOptions::to_url_lossy(&given.options).as_str().contains("app:hunter2%2F%25@"));
        let alone = Options { database_url_file: None, ..in_files.clone() };
        assert!(matches!(Config::new(&alone), Err(Error::PasswordAlone)));
        let missing = Options { database_url_file: Some(directory.path().join("none")), ..in_files };
        assert!(Config::new(&missing).unwrap_err().to_string().contains("--database-url-file"));
    }

    #[test]
    fn of_a_url_and_its_file_the_one_that_is_said_louder_counts() {
        let both = Options { database_url_file: Some("/secret".into()), ..options(Some("postgres://app@db/usage"), None) };
        let settled = |url: Source, file: Source| {
            let mut both = both.clone();
            both.settle(|key| if key == "database-url" { url } else { file })?;
            Ok::<_, Error>((both.database_url.is_some(), both.database_url_file.is_some()))
        };
        assert_eq!(settled(Source::Option, Source::Environment).unwrap(), (true, false));
        assert_eq!(settled(Source::File { line: 9 }, Source::Environment).unwrap(), (false, true));
        for place in [Source::Environment, Source::Option] {
            assert!(matches!(settled(place, place), Err(Error::TwoUrls)));
        }
        assert!(matches!(settled(Source::File { line: 1 }, Source::File { line: 2 }), Err(Error::TwoUrls)));
    }
}
