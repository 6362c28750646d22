//! Backfill: covers the days that the rollups do not hold yet, from the newest to the oldest.
//!
//! Each slice is one transaction and can be killed at any point; the next run goes on where the coverage ends. Reads are exact
//! before, during and after, so nothing waits for it.
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::PgPool;

/// Raw rows that a slice reads, unless told otherwise. A slice holds whole days, so a busy day may be more.
pub const SLICE_ROWS: i64 = 200_000;

/// One step back in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    /// The first instant that is covered now; none when all history is.
    pub covered_from: Option<Timestamp>,
    /// Rollup rows written.
    pub rows_written: i64,
}

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Summary {
    /// Slices covered.
    pub slices: u64,
    /// Rollup rows written.
    pub rows_written: i64,
}

/// Covers all history, slice by slice, and tells `on_slice` of each.
pub async fn run(pool: &PgPool, rows_max: i64, mut on_slice: impl FnMut(&Slice)) -> Result<Summary, sqlx::Error> {
    let mut summary = Summary::default();
    while let Some(slice) = slice(pool, rows_max).await? {
        summary.slices += 1;
        summary.rows_written += slice.rows_written;
        on_slice(&slice);
    }
    settle(pool).await?;
    Ok(summary)
}

/// Covers one more slice; none when all is covered.
pub async fn slice(pool: &PgPool, rows_max: i64) -> Result<Option<Slice>, sqlx::Error> {
    let row: Option<(Option<jiff_sqlx::Timestamp>, i64)> =
        sqlx::query_as("select nullif(since, '-infinity'::timestamptz), rows_written from tallybook.backfill_slice($1)")
            .bind(rows_max)
            .fetch_optional(pool)
            .await?;
    Ok(row.map(|(since, rows_written)| Slice { covered_from: since.map(jiff_sqlx::Timestamp::to_jiff), rows_written }))
}

/// Takes the raw arm off the views of rollups that are wholly covered.
pub async fn settle(pool: &PgPool) -> Result<(), sqlx::Error> {
    sqlx::query("select tallybook.settle_views()").execute(pool).await.map(drop)
}

/// Raw rows that no rollup covers yet, bounded by what the planner knows: for a progress bar.
pub async fn rows_left(pool: &PgPool, covered_from: Option<Timestamp>) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("select count(*) from public.task_usage where created_at < coalesce($1, 'infinity'::timestamptz)")
        .bind(covered_from.map(Timestamp::to_sqlx))
        .fetch_one(pool)
        .await
}
