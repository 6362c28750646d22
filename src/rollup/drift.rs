//! The days on which a now-view is known to differ from raw: what the service's verification found and nobody has mended.
//!
//! Owns `tallybook.drift`. Written by whoever compared a slice, with what it found there; never the reason for a repair by itself.
use super::verify::{DayRange, DriftedDay};
use crate::db::pool::PgPool;
use jiff::Timestamp;
use jiff_sqlx::{Date as SqlDate, Timestamp as SqlTimestamp, ToSqlx};

/// What is known of one rollup.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct KnownDrift {
    /// The rollup.
    pub rollup: String,
    /// Its keys that differed when they were checked last.
    pub keys: i64,
    /// The UTC days on which they lie.
    pub days: i64,
    /// When the first of them was found.
    pub found_at: Timestamp,
}

/// Notes which days of `slice` differ in a rollup, and that the others do not. Returns those that were not known.
pub(crate) async fn record(
    pool: &PgPool,
    rollup: &str,
    slice: DayRange,
    drifted: &[DriftedDay],
) -> Result<Vec<DriftedDay>, sqlx::Error> {
    let (days, keys): (Vec<SqlDate>, Vec<i64>) = drifted.iter().map(|d| (d.day.to_sqlx(), d.keys)).unzip();
    let new: Vec<(SqlDate, i64)> = sqlx::query_as(include_str!("drift_record.sql"))
        .bind(rollup)
        .bind(slice.since_sql())
        .bind(slice.until_sql())
        .bind(days)
        .bind(keys)
        .fetch_all(pool)
        .await?;
    Ok(new.into_iter().map(|(day, keys)| DriftedDay { day: day.to_jiff(), keys }).collect())
}

/// What is known of each rollup that differs anywhere.
pub async fn known(tx: impl sqlx::PgExecutor<'_>) -> Result<Vec<KnownDrift>, sqlx::Error> {
    let known: Vec<(String, i64, i64, SqlTimestamp)> = sqlx::query_as(
        "select rollup, sum(drifted_keys)::bigint, count(*), min(found_at) from tallybook.drift group by rollup order by rollup",
    )
    .fetch_all(tx)
    .await?;
    let known = known.into_iter();
    Ok(known.map(|(rollup, keys, days, found_at)| KnownDrift { rollup, keys, days, found_at: found_at.to_jiff() }).collect())
}
