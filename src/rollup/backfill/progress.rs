//! How far backfill is, by whoever it is done: what status, metrics and the command line show.
use crate::db::pool::PgPool;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff_sqlx::Timestamp as SqlTimestamp;
use jiff_sqlx::ToSqlx;
use sqlx::PgExecutor;

/// How far it is in one rollup.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Progress {
    /// The rollup.
    pub rollup: String,
    /// Whether all history is covered.
    pub covered: bool,
    /// Raw rows on days that are not covered.
    pub raw_rows_left: i64,
    /// Whether they were too many to count, and the planner was asked.
    pub is_estimate: bool,
    /// Raw rows a second of the last slices, with the pauses between them; none before the first.
    pub rows_per_second: Option<f64>,
    /// How long the rest takes at that pace.
    pub seconds_left: Option<f64>,
    /// When a slice was covered last.
    pub last_slice_at: Option<Timestamp>,
}

type Row = (String, bool, i64, bool, Option<f64>, Option<f64>, Option<SqlTimestamp>);

/// Reads how far it is, a rollup at a time.
pub async fn progress(tx: impl PgExecutor<'_>) -> Result<Vec<Progress>, sqlx::Error> {
    let rows: Vec<Row> = sqlx::query_as(include_str!("progress.sql")).fetch_all(tx).await?;
    let rows = rows.into_iter();
    Ok(rows
        .map(|(rollup, covered, raw_rows_left, is_estimate, rows_per_second, seconds_left, last_slice_at)| Progress {
            rollup,
            covered,
            raw_rows_left,
            is_estimate,
            rows_per_second,
            seconds_left,
            last_slice_at: last_slice_at.map(SqlTimestamp::to_jiff),
        })
        .collect())
}

/// Raw rows on days that some rollup lacks and that are not before `since`: counted where they are few, else estimated.
pub async fn raw_rows_left(pool: &PgPool, since: Option<Date>) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(include_str!("raw_rows_left.sql")).bind(since.map(ToSqlx::to_sqlx)).fetch_one(pool).await
}
