//! Where the data is, and how much is said about it: the options that every command shares.
//!
//! Owns the reading of flags and environment variables into a [`Config`]. Opens nothing: that is [`crate::db::database`].
use crate::embedded;
use crate::telemetry::log::Format;
use sqlx::postgres::PgConnectOptions;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Schemes of a PostgreSQL URL.
const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];

/// Options that every command takes.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
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
        "DATABASE_URL (or --database-url) is not a PostgreSQL URL: it must begin with postgres://; write it as postgres://user:password@host:5432/database"
    )]
    Scheme,
    /// A URL that the driver refuses.
    #[error(
        "DATABASE_URL (or --database-url) cannot be read: {0}; write it as postgres://user:password@host:5432/database, special characters of the password percent-encoded"
    )]
    Url(String),
    /// A URL that leaves the database to chance.
    #[error("DATABASE_URL (or --database-url) names no database; write it as postgres://user:password@host:5432/database")]
    NoDatabase,
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
    Url(Box<PgConnectOptions>),
    /// The private PostgreSQL in this directory.
    Private(PathBuf),
}

impl Config {
    /// Reads the options. Call it before logs are set up: the driver logs parameters of the URL that it does not know.
    pub fn new(options: &Options) -> Result<Self, Error> {
        let given = options.database_url.as_ref().map(|url| url.0.trim()).filter(|url| !url.is_empty());
        let database = match (given, options.data_dir.as_ref().filter(|dir| !dir.is_empty())) {
            (Some(url), _) => Place::Url(Box::new(parse(url)?)),
            (None, Some(dir)) => Place::Private(dir.into()),
            (None, None) => Place::Private(embedded::default_data_dir()),
        };
        Ok(Self { database })
    }
}

impl fmt::Display for Place {
    /// For messages: enough to find it, never a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Private(dir) => write!(f, "the private PostgreSQL in {}", dir.display()),
            Self::Url(options) => {
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

fn parse(url: &str) -> Result<PgConnectOptions, Error> {
    if !SCHEMES.iter().any(|scheme| url.starts_with(scheme)) {
        return Err(Error::Scheme);
    }
    let options = PgConnectOptions::from_str(url).map_err(|error| Error::Url(reason(&error)))?;
    if options.get_database().is_none_or(str::is_empty) {
        return Err(Error::NoDatabase);
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
            database_url: database_url.map(|url| DatabaseUrl(url.to_owned())),
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
        assert!(matches!(Config::new(&options(Some("postgres://app@db"), None)), Err(Error::NoDatabase)));
    }

    #[test]
    fn nothing_shows_a_password() {
        let shown = format!("{:?}", options(Some("postgres://app:hunter2@db/usage"), None));
        let config = format!("{:?}", Config::new(&options(Some("postgres://app:hunter2@db/usage"), None)).unwrap());
        assert!(!shown.contains("hunter2") && !config.contains("hunter2"), "{shown} {config}");
    }
}
