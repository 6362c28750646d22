//! What Tallybook says about itself: logs, metrics and, if it was built with them, traces. None ever carries a token, a body or a
//! name of a tenant.
pub mod database;
pub mod log;
pub mod metrics;
pub mod span;
pub mod trace;

use log::Format;
use std::io::{IsTerminal, stderr};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Why nothing can be said.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There can be no logs.
    #[error(transparent)]
    Log(#[from] log::Error),
    /// There can be no traces.
    #[error(transparent)]
    Trace(#[from] trace::Error),
}

/// What has begun; keep it to the end of the process, when what was traced last is sent.
#[derive(Debug)]
#[must_use = "traces end with it"]
pub struct Telemetry {
    _traces: trace::Traces,
}

/// Begins to log what `level` lets through (a level, or directives such as `info,tallybook::http=debug`), to count what is asked of the
/// database, and to trace where the environment asks for it.
pub fn init(format: Format, level: &str) -> Result<Telemetry, Error> {
    let (spans, traces) = trace::Traces::layer()?;
    tracing_subscriber::registry()
        .with(spans)
        .with(database::Listener::layer())
        .with(log::layer(format, level, stderr, stderr().is_terminal())?)
        .try_init()
        .map_err(|_| log::Error::Twice)?;
    Ok(Telemetry { _traces: traces })
}
