//! Connections to the database.
use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use std::time::Duration;

/// How long a caller waits for a free connection before it is told that the database is busy or away.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// A pool of at most `connections_max` connections, opened when they are first needed: a database
/// that is away when the service starts is waited for by whoever asks, not here.
pub fn lazy(options: PgConnectOptions, connections_max: u32) -> PgPool {
    PgPoolOptions::new().max_connections(connections_max).acquire_timeout(ACQUIRE_TIMEOUT).connect_lazy_with(session(options))
}

/// Settings of every session of ours: folds need READ COMMITTED, whatever the database's default. Nothing exact depends on the rest (I6).
/// Statements are not logged: whoever asks logs what took how long, once.
pub(super) fn session(options: PgConnectOptions) -> PgConnectOptions {
    options
        .application_name("tallybook")
        .options([("TimeZone", "UTC"), ("jit", "off"), ("default_transaction_isolation", "read committed")])
        .disable_statement_logging()
}
