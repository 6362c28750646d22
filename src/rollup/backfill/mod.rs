//! Backfill: covers the days that the rollups do not hold yet, from the newest to the oldest.
//!
//! Each slice is one transaction of whole days and can be killed at any point; the next run goes on where the coverage ends. Reads
//! are exact before, during and after, so nothing waits for it. A run folds between its slices. Any number of runs may be at work at once, beside ticks, rebuilds and
//! writers: whoever has the fold lock covers the next slice, and the others the ones after it.
use crate::db::error::{Cause, cause};
use crate::db::pool::PgPool;
use crate::rollup::fold;
use crate::rollup::verify::DayRange;
use jiff::Timestamp;
use jiff::civil::Date;
use std::time::{Duration, Instant};

mod background;
mod plan;
mod progress;
mod throttle;

pub(super) use background::Background;
pub use plan::{Basis, Pace, Plan, PlannedRollup, PlannedSlice, plan};
pub use progress::{Progress, progress, raw_rows_left};
pub use throttle::Throttle;

/// Raw rows that a slice reads, unless told otherwise. A slice holds whole days, so a busy day may be more.
pub const SLICE_ROWS: i64 = 200_000;
/// How often in a row a slice may lose against others before the run gives up; each time it has waited for half a minute.
const CONFLICTS_MAX: u32 = 20;
/// Pause after a slice that lost.
const PAUSE_LOST: Duration = Duration::from_millis(200);

/// What to cover, and how fast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Raw rows that a slice reads.
    pub slice_rows: i64,
    /// The oldest day to cover; none: all history.
    pub since: Option<Date>,
    /// How fast.
    pub throttle: Throttle,
}

impl Default for Options {
    /// All history, at full speed.
    fn default() -> Self {
        Self { slice_rows: SLICE_ROWS, since: None, throttle: Throttle::default() }
    }
}

impl Options {
    fn days(&self) -> DayRange {
        DayRange::between(self.since, None)
    }
}

/// One step back in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    /// The first instant that is covered now; none when all history is.
    pub covered_from: Option<Timestamp>,
    /// Raw rows on its days.
    pub raw_rows: i64,
    /// Rollup rows written.
    pub rows_written: i64,
}

/// What a run tells while it is at work.
#[derive(Debug)]
pub enum Event<'a> {
    /// A slice was covered.
    Covered(&'a Slice),
    /// A slice, or the last step, lost against other work, and is tried again.
    Waits(&'a sqlx::Error),
}

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Summary {
    /// Slices covered.
    pub slices: u64,
    /// Raw rows that they held.
    pub raw_rows: i64,
    /// Rollup rows written.
    pub rows_written: i64,
}

/// Covers all history at full speed, and tells `on_slice` of each slice.
pub async fn run(pool: &PgPool, slice_rows: i64, mut on_slice: impl FnMut(&Slice)) -> Result<Summary, sqlx::Error> {
    cover(pool, &Options { slice_rows, ..Options::default() }, |event| {
        if let Event::Covered(slice) = event {
            on_slice(slice);
        }
    })
    .await
}

/// Covers what `options` ask for, slice by slice.
pub async fn cover(pool: &PgPool, options: &Options, mut tell: impl FnMut(Event)) -> Result<Summary, sqlx::Error> {
    let slice_rows = options.throttle.slice_rows(options.slice_rows);
    let (mut summary, mut conflicts) = (Summary::default(), 0);
    loop {
        let began = Instant::now();
        match fold_and_cover(pool, slice_rows, options.days()).await {
            Ok(None) => break,
            Ok(Some(slice)) => {
                conflicts = 0;
                summary.slices += 1;
                summary.raw_rows += slice.raw_rows;
                summary.rows_written += slice.rows_written;
                tell(Event::Covered(&slice));
                tokio::time::sleep(options.throttle.pause_after(slice.raw_rows, began.elapsed())).await;
            }
            Err(error) if cause(&error) == Cause::Conflict && conflicts < CONFLICTS_MAX => {
                conflicts += 1;
                tell(Event::Waits(&error));
                tokio::time::sleep(PAUSE_LOST).await;
            }
            Err(error) => return Err(error),
        }
    }
    // All is covered. Readers that hold a view for long are waited for, but not for ever: a service settles it, too.
    for _ in 0..CONFLICTS_MAX {
        match settle(pool).await {
            Err(error) if cause(&error) == Cause::Conflict => tell(Event::Waits(&error)),
            settled => return settled.map(|()| summary),
        }
        tokio::time::sleep(PAUSE_LOST).await;
    }
    Ok(summary)
}

/// Folds before it covers one more slice: a run may be the only one that does, while writers go on.
async fn fold_and_cover(pool: &PgPool, slice_rows: i64, days: DayRange) -> Result<Option<Slice>, sqlx::Error> {
    fold::tick(pool).await?;
    cover_slice(pool, slice_rows, days, false).await
}

/// Covers one more slice; none when all is covered.
pub async fn slice(pool: &PgPool, slice_rows: i64) -> Result<Option<Slice>, sqlx::Error> {
    cover_slice(pool, slice_rows, DayRange::ALL, false).await
}

#[tracing::instrument(
    target = "tallybook::trace", level = "trace", name = "transaction", skip_all, err(level = "trace"),
    fields(otel.name = "backfill slice", otel.kind = "client", db.system.name = "postgresql")
)]
async fn cover_slice(pool: &PgPool, slice_rows: i64, days: DayRange, gently: bool) -> Result<Option<Slice>, sqlx::Error> {
    let row: Option<(Option<jiff_sqlx::Timestamp>, i64, i64)> = sqlx::query_as(include_str!("slice.sql"))
        .bind(slice_rows)
        .bind(days.since_sql())
        .bind(gently)
        .fetch_optional(pool)
        .await?;
    Ok(row.map(|(since, raw_rows, rows_written)| Slice {
        covered_from: since.map(jiff_sqlx::Timestamp::to_jiff),
        raw_rows,
        rows_written,
    }))
}

/// Takes the raw arm off the views of rollups that are wholly covered.
#[tracing::instrument(
    target = "tallybook::trace", level = "trace", name = "transaction", skip_all, err(level = "trace"),
    fields(otel.name = "settle views", otel.kind = "client", db.system.name = "postgresql")
)]
pub async fn settle(pool: &PgPool) -> Result<(), sqlx::Error> {
    sqlx::query("select tallybook.settle_views()").execute(pool).await.map(drop)
}

#[cfg(test)]
mod tests;
