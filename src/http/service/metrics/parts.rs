//! The state of the database in parts, each read in a short transaction of its own: one that takes too long costs only itself.
use crate::db::pool::PgPool;
use crate::rollup::backfill::{self, Progress};
use crate::rollup::status::{self, Rollup, Verification};
use sqlx::FromRow;
use std::time::Duration;

/// Reads one snapshot, changes nothing, and leaves the way to who changes the schema.
const BEGIN: &str = "begin isolation level repeatable read read only; set local lock_timeout = '500ms'";

/// A part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Pending,
    Upkeep,
    Rollups,
    Backfill,
    Verification,
    Storage,
    Transactions,
}

/// In the order in which they are missed most.
pub(super) const PARTS: [Part; 7] =
    [Part::Upkeep, Part::Pending, Part::Rollups, Part::Verification, Part::Transactions, Part::Storage, Part::Backfill];

/// What was read.
pub(super) enum Read {
    Pending(Pending),
    Upkeep(Upkeep),
    Rollups(Vec<Rollup>),
    Backfill(Vec<Progress>),
    Verification(Verification),
    Storage(Vec<Table>, i64),
    Transactions(f64),
}

/// Change rows that wait.
#[derive(FromRow)]
pub(super) struct Pending {
    pub(super) usage_rows: i64,
    pub(super) task_rows: i64,
    pub(super) agent_rows: i64,
    pub(super) issue_rows: i64,
    pub(super) sealed_rows: i64,
    pub(super) lag_seconds: f64,
}

/// What ticks and triggers have come to.
#[derive(FromRow)]
pub(super) struct Upkeep {
    pub(super) capture_faults: i64,
    pub(super) fold_failing: bool,
    pub(super) fold_last_success_seconds: Option<f64>,
    pub(super) fold_last_rows: Option<i64>,
}

/// A table that is written by reporters.
#[derive(FromRow)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) size_bytes: i64,
    pub(super) rows_estimated: i64,
    pub(super) dead_rows: i64,
}

impl Part {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Upkeep => "upkeep",
            Self::Rollups => "rollups",
            Self::Backfill => "backfill",
            Self::Verification => "verification",
            Self::Storage => "storage",
            Self::Transactions => "transactions",
        }
    }
}

/// Reads `part`. The server itself cuts off what takes longer than `limit`, so that nothing goes on for a scrape that was given up.
pub(super) async fn read(pool: &PgPool, part: Part, limit: Duration) -> Result<Read, sqlx::Error> {
    let mut tx = pool.with_statement_timeout(limit).begin_with(BEGIN).await?;
    Ok(match part {
        Part::Pending => Read::Pending(sqlx::query_as(include_str!("pending.sql")).fetch_one(&mut *tx).await?),
        Part::Upkeep => Read::Upkeep(sqlx::query_as(include_str!("upkeep.sql")).fetch_one(&mut *tx).await?),
        Part::Rollups => Read::Rollups(status::rollups(&mut tx).await?),
        Part::Backfill => Read::Backfill(backfill::progress(&mut *tx).await?),
        Part::Verification => Read::Verification(status::verification(&mut tx).await?),
        Part::Storage => {
            let tables = sqlx::query_as(include_str!("tables.sql")).fetch_all(&mut *tx).await?;
            let size = "select pg_database_size(current_database())";
            Read::Storage(tables, sqlx::query_scalar(size).fetch_one(&mut *tx).await?)
        }
        Part::Transactions => Read::Transactions(sqlx::query_scalar(include_str!("transactions.sql")).fetch_one(&mut *tx).await?),
    })
}
