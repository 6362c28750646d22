//! Adoption: Tallybook beside tables that somebody else made, on a database that is in use.
//!
//! Owns what touches those tables: the preflight, the indexes and triggers that come, and their removal. The migrations make the rest, in
//! schema `tallybook` alone. What is counted, and how columns are found again that the host renames, is the engine's
//! (`tallybook.follow_sources`).
//!
//! Invariant: on the host's tables nothing comes but triggers and indexes named `tallybook_*`, and they all go again.
//! Invariant: no statement waits for a lock on a host's table for longer than [`Patience::lock_timeout`], so that no writer queues behind it for
//! longer; what builds an index lets writers pass.
use crate::db::migrate;
use crate::db::pool::{NeedsSession, PgPool};
use sqlx::{Connection, Executor, PgConnection};
use std::time::Duration;

mod follow;
mod index;
mod install;
mod patience;
mod preflight;
mod remove;

pub use follow::{Follow, follow, refresh};
pub use install::{Form, install};
pub use patience::Patience;
pub use preflight::{Finding, Report, Severity, Standing, Table, check};
pub use remove::remove;

/// The key of the advisory lock that whoever adopts holds, for as long as its session lasts.
const LOCK_KEY: i64 = 0x7a11_ad0b_7000_0001;
/// The captured tables, in the order in which they get their triggers.
const SOURCES: [&str; 4] = ["issue", "agent", "agent_task_queue", "task_usage"];

/// Why a database was not adopted, or not left.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something stands in the way, and nothing was changed.
    #[error("cannot be adopted: {}; nothing was changed", obstacles(.0))]
    Refused(Box<Report>),
    /// Another one is at it.
    #[error(
        "is being adopted, or left, by somebody else at this moment; try again when that has ended (where that was killed: in a few seconds)"
    )]
    Busy,
    /// A lock was not to be had.
    #[error(
        "does not let {table} be locked: it was tried for {} s, {holder}; all that was done stays, so run the same again, with a longer --lock-wait or when the table is less busy",
        .waited.as_secs()
    )]
    Locked {
        /// The table.
        table: String,
        /// For how long it was tried.
        waited: Duration,
        /// Who held it last.
        holder: String,
    },
    /// Its source tables are our own.
    #[error("keeps its usage in tables of Tallybook's own: there is nothing to adopt, and nothing to follow")]
    Own,
    /// There is a pooler, and no way past it.
    #[error(transparent)]
    NeedsSession(#[from] NeedsSession),
    /// A migration could not be applied or reverted.
    #[error(transparent)]
    Migrate(#[from] migrate::Error),
    /// The database refused or went away.
    #[error("failed: {0}")]
    Database(#[from] sqlx::Error),
}

fn obstacles(report: &Report) -> String {
    let found = report.obstacles().map(|finding| format!("{}: {}", finding.place, finding.what)).collect::<Vec<_>>();
    found.join("; ")
}

/// A session of our own, in which names mean what they say and no setting of the host's ends what takes long.
async fn session(pool: &PgPool) -> Result<PgConnection, Error> {
    let mut session = PgConnection::connect_with(&pool.session_options().await??).await?;
    session
        .execute("set search_path = pg_catalog; set statement_timeout = 0; set lock_timeout = 0; set timezone = 'UTC'")
        .await?;
    // Who is killed while an index is built must not leave the server at it, with our lock. Not every server can tell.
    if let Err(error) = session.execute("set client_connection_check_interval = '2s'").await {
        tracing::debug!(%error, "the server does not notice in the middle of a statement that its client is gone");
    }
    Ok(session)
}

/// The same, as the only one that changes what lies on the host's tables.
async fn lone_session(pool: &PgPool) -> Result<PgConnection, Error> {
    let mut session = session(pool).await?;
    let mine = "select pg_try_advisory_lock($1)";
    if sqlx::query_scalar(mine).bind(LOCK_KEY).fetch_one(&mut session).await? {
        return Ok(session);
    }
    session.close().await?;
    Err(Error::Busy)
}

/// Whether the source tables are somebody else's, wherever the migrations stand.
pub async fn is_adopted(on: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let is_installed: bool =
        sqlx::query_scalar("select to_regclass('tallybook.installation') is not null").fetch_one(&mut *on).await?;
    Ok(is_installed && sqlx::query_scalar("select is_adopted from tallybook.installation").fetch_one(on).await?)
}
