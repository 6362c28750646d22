//! Structured logs: a message that reads alone, and dotted fields with their units, for people or as JSON.
use tracing::Subscriber;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Layer};

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

/// Lines to `writer` of what `level` lets through: a level, or directives such as `info,tallybook::http=debug`.
pub(super) fn layer<S, W>(format: Format, level: &str, writer: W, is_coloured: bool) -> Result<impl Layer<S>, Error>
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(level).map_err(|source| Error::Level { level: level.to_owned(), source })?;
    let lines = fmt::layer().with_writer(writer).with_ansi(is_coloured);
    let lines: Box<dyn Layer<S> + Send + Sync> = match format {
        Format::Text => Box::new(lines),
        Format::Json => Box::new(lines.json().flatten_event(true).with_span_list(false)),
    };
    Ok(lines.with_filter(filter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_level_is_refused_by_name() {
        let error = crate::telemetry::init(Format::Text, "tallybook=loud").unwrap_err().to_string();
        assert!(error.starts_with("\"tallybook=loud\" is no log level"), "{error}");
    }
}
