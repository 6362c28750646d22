//! Status: what an operator wants to know of the rollups at a glance.
use super::drift::{self, KnownDrift};
use crate::db::migrate::{self, Migration};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff_sqlx::{Date as SqlDate, Timestamp as SqlTimestamp};
use sqlx::{PgConnection, PgPool};

/// How the rollups stand.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Status {
    /// The server's version, as it names it.
    pub server_version: String,
    /// The size of the database in bytes.
    pub database_bytes: i64,
    /// What waits to be folded. Reads count it in.
    pub pending: Pending,
    /// Age of the oldest change row that is not folded, in seconds; none before the first tick.
    pub lag_seconds: Option<f64>,
    /// The last tick.
    pub last_run: LastRun,
    /// How far the service's verification is, and what it has found.
    pub verification: Verification,
    /// Each rollup.
    pub rollups: Vec<Rollup>,
    /// Why capture cannot be trusted; empty when it can.
    pub capture_faults: Vec<String>,
    /// Every migration and where it stands.
    pub migrations: Vec<Migration>,
}

/// Change rows that wait to be folded.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, sqlx::FromRow)]
pub struct Pending {
    /// Of usage.
    pub usage_rows: i64,
    /// Of tasks.
    pub task_rows: i64,
    /// Of agents.
    pub agent_rows: i64,
    /// Of issues.
    pub issue_rows: i64,
}

/// How the last tick went.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct LastRun {
    /// When it began; none before the first.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Rollup rows that it touched.
    pub rows: Option<i64>,
    /// The error of the last one that failed, until one succeeds.
    pub error: Option<String>,
}

/// How far the continuous verification of services is.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Verification {
    /// When a slice was compared last; none before the first.
    pub checked_at: Option<Timestamp>,
    /// Every day has been compared since then; none as long as not all of them have been.
    pub checked_since: Option<Timestamp>,
    /// The first UTC day that this round has compared; none between two rounds.
    pub reached: Option<Date>,
    /// The share of the days with usage, from the first to the last, that have been compared at all: 0 to 1.
    pub coverage: f64,
    /// No day was compared longer ago, in seconds; none as long as not all of them have been.
    pub oldest_check_seconds: Option<f64>,
    /// The rollups that differ.
    pub drift: Vec<KnownDrift>,
}

/// How a rollup stands.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Rollup {
    /// Its name.
    pub name: String,
    /// Rows, as the planner estimates them.
    pub rows_estimated: i64,
    /// Size on disk with indexes, in bytes.
    pub size_bytes: i64,
    /// From when on it is complete; none when all history is.
    pub covered_from: Option<Timestamp>,
    /// Whether nothing is covered yet.
    pub uncovered: bool,
}

/// Reads the status.
pub async fn status(pool: &PgPool) -> Result<Status, sqlx::Error> {
    let migrations = migrate::status(pool).await?;
    let mut tx = pool.begin_with("begin isolation level repeatable read read only").await?;
    let (server_version, database_bytes, lag_seconds): (String, i64, Option<f64>) = sqlx::query_as(
        "select current_setting('server_version'), pg_database_size(current_database()), tallybook.task_usage_rollup_lag_seconds()",
    )
    .fetch_one(&mut *tx)
    .await?;
    let pending = sqlx::query_as("select usage_rows, task_rows, agent_rows, issue_rows from tallybook.backlog()")
        .fetch_one(&mut *tx)
        .await?;
    let (started_at, finished_at, rows, error): (Option<SqlTimestamp>, Option<SqlTimestamp>, Option<i64>, Option<String>) =
        sqlx::query_as(
            "select last_run_started_at, last_run_finished_at, last_run_rows, last_error from tallybook.task_usage_rollup_state",
        )
        .fetch_one(&mut *tx)
        .await?;
    let verification = verification(&mut tx).await?;
    let rollups: Vec<(String, i64, i64, Option<SqlTimestamp>, bool)> =
        sqlx::query_as(include_str!("status_of_rollups.sql")).fetch_all(&mut *tx).await?;
    let capture_faults = sqlx::query_scalar("select tallybook.capture_faults()").fetch_all(&mut *tx).await?;
    tx.commit().await?;
    Ok(Status {
        server_version,
        database_bytes,
        pending,
        lag_seconds,
        last_run: LastRun {
            started_at: started_at.map(SqlTimestamp::to_jiff),
            finished_at: finished_at.map(SqlTimestamp::to_jiff),
            rows,
            error,
        },
        verification,
        rollups: rollups
            .into_iter()
            .map(|(name, rows_estimated, size_bytes, covered_from, uncovered)| Rollup {
                name,
                rows_estimated,
                size_bytes,
                covered_from: covered_from.map(SqlTimestamp::to_jiff),
                uncovered,
            })
            .collect(),
        capture_faults,
        migrations,
    })
}

/// Reads how far the service's verification is.
pub async fn verification(tx: &mut PgConnection) -> Result<Verification, sqlx::Error> {
    let (checked_at, checked_since, reached, coverage, oldest_check_seconds): (
        Option<SqlTimestamp>,
        Option<SqlTimestamp>,
        Option<SqlDate>,
        f64,
        Option<f64>,
    ) = sqlx::query_as(include_str!("verification.sql")).fetch_one(&mut *tx).await?;
    Ok(Verification {
        checked_at: checked_at.map(SqlTimestamp::to_jiff),
        checked_since: checked_since.map(SqlTimestamp::to_jiff),
        reached: reached.map(SqlDate::to_jiff),
        coverage,
        oldest_check_seconds,
        drift: drift::known(tx).await?,
    })
}
