//! Structured logs on standard error.
use std::io::{IsTerminal, stderr};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

/// The shape of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line, for collectors.
    Json,
}

/// Why logging could not begin.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The level is no level and no list of directives.
    #[error(
        "{level:?} is no log level: error, warn, info, debug, trace, or directives such as info,tallybook::http=debug ({source})"
    )]
    Level {
        /// What was asked for.
        level: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// Somebody has begun already.
    #[error("logging was set up twice")]
    Twice,
}

/// Begins to log what `level` lets through: a level, or directives such as `info,tallybook::http=debug`.
pub fn init(format: Format, level: &str) -> Result<(), Error> {
    let filter = EnvFilter::try_new(level).map_err(|source| Error::Level { level: level.to_owned(), source })?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr).with_ansi(stderr().is_terminal());
    match format {
        Format::Text => lines.try_init(),
        Format::Json => lines.json().flatten_event(true).try_init(),
    }
    .map_err(|_| Error::Twice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_level_is_refused_by_name() {
        let error = init(Format::Text, "tallybook=loud").unwrap_err().to_string();
        assert!(error.starts_with("\"tallybook=loud\" is no log level"), "{error}");
    }
}
