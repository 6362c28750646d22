//! Status: what an operator wants to know of the rollups at a glance.
use super::backfill::{self, Progress};
use super::drift::{self, KnownDrift};
use crate::db::migrate::{self, Migration};
use crate::db::pool::PgPool;
use crate::db::session::Session;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff_sqlx::{Date as SqlDate, Timestamp as SqlTimestamp};
use std::time::Duration;

/// A transaction that keeps dead rows is long from then on.
const OPEN_MAX: Duration = Duration::from_mins(5);
/// One that holds the lock of whoever writes rollups is long from then on.
const HOLDING_MAX: Duration = Duration::from_mins(1);

/// How the rollups stand.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Status {
    /// When this was so, by the database's clock.
    pub as_of: Timestamp,
    /// The server's version, as it names it.
    pub server_version: String,
    /// Whether the server is a standby, which nothing can be written to.
    pub is_standby: bool,
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
    /// How far backfill is.
    pub backfill: Vec<Progress>,
    /// Each rollup.
    pub rollups: Vec<Rollup>,
    /// The raw usage.
    pub raw_usage: RawUsage,
    /// Transactions that have been open for so long that others suffer, the oldest first.
    pub long_transactions: Vec<LongTransaction>,
    /// Why capture cannot be trusted; empty when it can.
    pub capture_faults: Vec<String>,
    /// Every migration and where it stands.
    pub migrations: Vec<Migration>,
}

/// Change rows that wait to be folded.
#[derive(Clone, Debug, PartialEq, serde::Serialize, sqlx::FromRow)]
pub struct Pending {
    /// Of usage.
    pub usage_rows: i64,
    /// Of tasks.
    pub task_rows: i64,
    /// Of agents.
    pub agent_rows: i64,
    /// Of issues.
    pub issue_rows: i64,
    /// Of sealed usage.
    pub sealed_rows: i64,
    /// The age of the oldest of them, in seconds; none where there is none.
    pub oldest_seconds: Option<f64>,
}

/// The raw usage: `public.task_usage`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, sqlx::FromRow)]
pub struct RawUsage {
    /// Rows, as the planner estimates them.
    pub rows_estimated: i64,
    /// Size on disk with indexes and partitions, in bytes.
    pub size_bytes: i64,
}

/// A transaction that has been open for long.
#[derive(Clone, Debug, PartialEq, serde::Serialize, sqlx::FromRow)]
pub struct LongTransaction {
    /// Whose it is.
    pub who: String,
    /// Its age in seconds.
    pub seconds: f64,
    /// Whether it holds the lock of whoever writes rollups, so that nobody folds.
    pub holds_fold_lock: bool,
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
    /// When that was.
    pub failed_at: Option<Timestamp>,
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
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, sqlx::FromRow)]
pub struct Rollup {
    /// Its name.
    pub name: String,
    /// Rows, as the planner estimates them.
    pub rows_estimated: i64,
    /// Size on disk with indexes, in bytes.
    pub size_bytes: i64,
    /// From when on it is complete; none when all history is.
    #[sqlx(try_from = "OptionalTimestamp")]
    pub covered_from: Option<Timestamp>,
    /// Whether nothing is covered yet.
    pub uncovered: bool,
    /// UTC days from the first usage to the last.
    pub days: i64,
    /// Those of them that are not covered: read from raw.
    pub uncovered_days: i64,
    /// Keys that are known to differ from raw usage.
    pub drifted_keys: i64,
    /// UTC days on which they lie.
    pub drifted_days: i64,
}

impl Rollup {
    /// Whether it holds all history.
    pub fn is_covered(&self) -> bool {
        !self.uncovered && self.covered_from.is_none()
    }
}

/// An instant as the database gives it, or none.
#[derive(sqlx::Type)]
#[sqlx(transparent)]
struct OptionalTimestamp(Option<SqlTimestamp>);

impl From<OptionalTimestamp> for Option<Timestamp> {
    fn from(instant: OptionalTimestamp) -> Self {
        instant.0.map(SqlTimestamp::to_jiff)
    }
}

/// Reads the status.
pub async fn status(pool: &PgPool) -> Result<Status, sqlx::Error> {
    let migrations = migrate::status(pool).await?;
    let mut tx = pool.begin_with("begin isolation level repeatable read read only").await?;
    let (as_of, server_version, is_standby, database_bytes, lag_seconds): (SqlTimestamp, _, _, _, _) = sqlx::query_as(
        "select statement_timestamp(), current_setting('server_version'), pg_is_in_recovery(),
           pg_database_size(current_database()), tallybook.task_usage_rollup_lag_seconds()",
    )
    .fetch_one(&mut *tx)
    .await?;
    let pending = sqlx::query_as(
        "select usage_rows, task_rows, agent_rows, issue_rows, sealed_rows,
           case when oldest is not null then greatest(0, extract(epoch from clock_timestamp() - oldest)) end::double precision as oldest_seconds
         from tallybook.backlog()",
    )
    .fetch_one(&mut *tx)
    .await?;
    let last_run = last_run(&mut tx).await?;
    let verification = verification(&mut tx).await?;
    let backfill = backfill::progress(&mut *tx).await?;
    let rollups = rollups(&mut tx).await?;
    let raw_usage = sqlx::query_as(include_str!("status_of_raw.sql")).fetch_one(&mut *tx).await?;
    let long_transactions = long_transactions(&mut tx, OPEN_MAX, HOLDING_MAX).await?;
    let capture_faults = sqlx::query_scalar("select tallybook.capture_faults()").fetch_all(&mut *tx).await?;
    tx.commit().await?;
    Ok(Status {
        as_of: as_of.to_jiff(),
        server_version,
        is_standby,
        database_bytes,
        pending,
        lag_seconds,
        last_run,
        verification,
        backfill,
        rollups,
        raw_usage,
        long_transactions,
        capture_faults,
        migrations,
    })
}

async fn last_run(tx: &mut Session<'_>) -> Result<LastRun, sqlx::Error> {
    type Row = (Option<SqlTimestamp>, Option<SqlTimestamp>, Option<i64>, Option<String>, Option<SqlTimestamp>);
    let (started_at, finished_at, rows, error, failed_at): Row = sqlx::query_as(
        "select last_run_started_at, last_run_finished_at, last_run_rows, last_error,
           case when last_error is not null then last_error_at end
         from tallybook.fold_state",
    )
    .fetch_one(tx)
    .await?;
    Ok(LastRun {
        started_at: started_at.map(SqlTimestamp::to_jiff),
        finished_at: finished_at.map(SqlTimestamp::to_jiff),
        rows,
        error,
        failed_at: failed_at.map(SqlTimestamp::to_jiff),
    })
}

/// Reads which transactions have been open for longer than `open`, or have held the fold lock for longer than `holding`.
async fn long_transactions(tx: &mut Session<'_>, open: Duration, holding: Duration) -> Result<Vec<LongTransaction>, sqlx::Error> {
    sqlx::query_as(include_str!("long_transactions.sql")).bind(open.as_secs_f64()).bind(holding.as_secs_f64()).fetch_all(tx).await
}

/// Reads how each rollup stands.
pub async fn rollups(tx: &mut Session<'_>) -> Result<Vec<Rollup>, sqlx::Error> {
    sqlx::query_as(include_str!("status_of_rollups.sql")).fetch_all(tx).await
}

/// Reads how far the service's verification is.
pub async fn verification(tx: &mut Session<'_>) -> Result<Verification, sqlx::Error> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use sqlx::Executor;

    #[tokio::test]
    async fn who_keeps_dead_rows_or_others_from_folding_is_told_apart() {
        let db = testing::database().await;
        let (mut analyst, mut folder, mut idle) = (db.connect().await, db.connect().await, db.connect().await);
        analyst.execute("set application_name = 'analyst'; begin isolation level repeatable read; select 1").await.unwrap();
        folder
            .execute("set application_name = 'folder'; begin; select pg_advisory_xact_lock(tallybook.fold_lock_key())")
            .await
            .unwrap();
        idle.execute("set application_name = 'idle'; begin; select 1").await.unwrap();
        let long = async |open, holding| -> Vec<(String, bool)> {
            let told = long_transactions(&mut Session::from(&mut db.connect().await), open, holding).await.unwrap();
            assert!(told.iter().all(|open| open.seconds >= 0.0));
            let name = |who: &str| who.split(['(', ')']).nth(1).unwrap().to_owned();
            told.iter().map(|open| (name(&open.who), open.holds_fold_lock)).collect()
        };
        let (none, forever) = (Duration::ZERO, Duration::MAX);
        assert_eq!(long(none, forever).await, [("analyst".to_owned(), false)]);
        assert_eq!(long(forever, none).await, [("folder".to_owned(), true)]);
        assert_eq!(long(forever, forever).await, []);
    }
}
