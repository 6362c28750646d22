//! What lies between us and the database: nothing, or a pooler that lends us a session for a transaction at a time.
//!
//! A server honours the settings that a client gives when it connects. Poolers refuse them (PgBouncer before 1.20, and later ones
//! for all but a few) or drop them, since the session that a transaction gets is not the client's. So we give one that means
//! nothing, and look whether it is there.
use log::LevelFilter;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, Executor, PgConnection, Row};
use std::time::Duration;

/// The setting that means nothing.
const MARK: (&str, &str) = ("tallybook.session", "own");
/// What [`Route::options`] gives to sessions of our own and a transaction has to set for itself elsewhere; what it begins
/// with says its isolation.
pub(super) const SET_LOCAL: &str = "set local timezone = 'UTC'; set local jit = off; set local row_security = off";

/// How the database is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Each connection is a session.
    Session,
    /// Each transaction has a session, perhaps another one each time.
    Pooler,
}

impl Route {
    /// Connects once, and tells what answered.
    pub(super) async fn find(options: &PgConnectOptions) -> Result<Self, sqlx::Error> {
        let mut connection = match PgConnection::connect_with(&Self::Session.options(options)).await {
            Ok(connection) => connection,
            Err(sqlx::Error::Database(error)) if error.message().contains("unsupported startup parameter") => {
                Self::Pooler.try_connect(options).await?;
                return Ok(Self::Pooler);
            }
            Err(error) => return Err(error),
        };
        // Without parameters: that is one message, which needs nothing prepared.
        let row = connection.fetch_one("select current_setting('tallybook.session', true)").await?;
        let mark: Option<String> = row.try_get(0)?;
        close(connection).await;
        Ok(if mark.as_deref() == Some(MARK.1) { Self::Session } else { Self::Pooler })
    }

    /// Connects once. A pooler lets clients in whose database is away, so it is asked something.
    pub(super) async fn try_connect(self, options: &PgConnectOptions) -> Result<(), sqlx::Error> {
        let mut connection = PgConnection::connect_with(&self.options(options)).await?;
        if self == Self::Pooler {
            connection.execute("select 1").await?;
        }
        close(connection).await;
        Ok(())
    }

    /// Settings of every connection of ours: folds need READ COMMITTED, whatever the database's default; where a policy would hide rows
    /// from a sum, the server has to refuse. Nothing exact depends on the rest (I6). Statements are told of for [`crate::telemetry::database`] to count; logs show them at level trace alone,
    /// without any value, however long they take: whoever asks logs what took how long, once.
    pub(super) fn options(self, options: &PgConnectOptions) -> PgConnectOptions {
        let options = options
            .clone()
            .application_name("tallybook")
            .log_statements(LevelFilter::Trace)
            .log_slow_statements(LevelFilter::Trace, Duration::MAX);
        match self {
            Self::Session => options.options([
                ("TimeZone", "UTC"),
                ("jit", "off"),
                ("default_transaction_isolation", "read committed"),
                ("row_security", "off"),
                MARK,
            ]),
            // No reader of floats here needs more digits than the server gives, and PgBouncer refuses to be asked.
            Self::Pooler => options.extra_float_digits(None).statement_cache_capacity(0),
        }
    }
}

/// It has served its purpose; the server notices a lost connection by itself.
async fn close(connection: PgConnection) {
    drop(connection.close().await);
}
