//! Verify: compares each now-view with the sums of the raw rows, both ways.
//!
//! History is cut into slices of whole UTC days ([`mod@slice`]), each compared in one snapshot of its own. Nothing here writes, nothing is
//! tolerated, and nothing grows with history but the list of slices and of days that differ: of the keys that differ some are
//! kept, and all are counted. [`cause`] says why there may be drift; [`super::repair`] mends it.
use crate::db::pool::PgPool;
use crate::db::session::Session;
use crate::db::snapshot::in_snapshot;
use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff_sqlx::{Date as SqlDate, Timestamp as SqlTimestamp};
use sqlx::types::Json;

pub mod cause;
mod report;
pub mod sample;
pub mod slice;

pub use report::{Drift, DriftedDay, Report, RollupReport};
pub use sample::{Sample, Sampled};
pub use slice::DayRange;

/// Differing keys that a report names for each rollup; it counts them all.
pub const EXAMPLES_MAX: usize = 1_000;
/// Raw rows that a slice holds, more or less: whole days all the same.
pub const SLICE_ROWS: i64 = 200_000;
/// Slices that are compared at the same time, each on a connection of its own.
const SLICES_AT_ONCE: usize = 2;

/// What to verify.
#[derive(Clone, Debug)]
pub struct Scope {
    /// The days.
    pub range: DayRange,
    /// How many of them; none: all.
    pub sample: Option<Sample>,
    /// Raw rows that a slice holds, more or less.
    pub slice_rows: i64,
}

impl Default for Scope {
    /// All history.
    fn default() -> Self {
        Self { range: DayRange::ALL, sample: None, slice_rows: SLICE_ROWS }
    }
}

/// The slices that will be compared.
#[derive(Clone, Debug)]
pub struct Plan {
    /// When it was made, by the database's clock: no snapshot is older.
    pub as_of: Timestamp,
    /// Newest first.
    pub slices: Vec<DayRange>,
    /// What was drawn, where the scope is a sample.
    pub sample: Option<Sampled>,
}

/// Cuts what is to be verified into slices.
pub async fn plan(pool: &PgPool, scope: &Scope) -> Result<Plan, sqlx::Error> {
    in_snapshot(pool, |mut snapshot| async move {
        let as_of: SqlTimestamp = sqlx::query_scalar("select statement_timestamp()").fetch_one(&mut *snapshot).await?;
        let (slices, sample) = if let Some(sample) = scope.sample {
            let drawn = sample.draw(&slice::days_held(&mut snapshot, scope.range).await?);
            (slices_of(&drawn.days), Some(drawn))
        } else {
            (slice::cut(&mut snapshot, scope.range, scope.slice_rows).await?, None)
        };
        Ok(Plan { as_of: as_of.to_jiff(), slices, sample })
    })
    .await
}

/// A plan of certain days alone, newest first.
pub async fn plan_days(pool: &PgPool, days: &[Date]) -> Result<Plan, sqlx::Error> {
    let as_of: SqlTimestamp = sqlx::query_scalar("select statement_timestamp()").fetch_one(pool).await?;
    Ok(Plan { as_of: as_of.to_jiff(), slices: slices_of(days), sample: None })
}

fn slices_of(days: &[Date]) -> Vec<DayRange> {
    days.iter().rev().map(|day| DayRange::day(*day)).collect()
}

/// Compares every rollup over each of the slices, and tells `on_slice` of each that is done.
pub async fn check(pool: &PgPool, plan: &Plan, mut on_slice: impl FnMut(&DayRange)) -> Result<Report, sqlx::Error> {
    let mut report = Report::new(plan.as_of, plan.sample.clone());
    let comparing =
        plan.slices.iter().copied().map(|slice| async move { Ok::<_, sqlx::Error>((slice, compare(pool, slice).await?)) });
    // In order, so that the same differences make the same report.
    let mut compared = stream::iter(comparing).buffered(SLICES_AT_ONCE);
    while let Some((slice, found)) = compared.try_next().await? {
        report.add(found);
        on_slice(&slice);
    }
    Ok(report)
}

/// Compares every rollup over all history, slice by slice.
pub async fn verify(pool: &PgPool) -> Result<Report, sqlx::Error> {
    let plan = plan(pool, &Scope::default()).await?;
    check(pool, &plan, |_| {}).await
}

/// Compares every rollup over all history in the snapshot of the caller's transaction.
pub async fn verify_in(tx: &mut Session<'_>) -> Result<Report, sqlx::Error> {
    let as_of: SqlTimestamp = sqlx::query_scalar("select statement_timestamp()").fetch_one(&mut *tx).await?;
    let mut report = Report::new(as_of.to_jiff(), None);
    report.add(compare_in(tx, DayRange::ALL).await?);
    Ok(report)
}

/// Compares every rollup over one slice, in a snapshot of its own.
pub(crate) async fn compare(pool: &PgPool, slice: DayRange) -> Result<Vec<RollupReport>, sqlx::Error> {
    in_snapshot(pool, |mut snapshot| async move { compare_in(&mut snapshot, slice).await }).await
}

async fn compare_in(tx: &mut Session<'_>, slice: DayRange) -> Result<Vec<RollupReport>, sqlx::Error> {
    let names: Vec<String> = sqlx::query_scalar("select name from tallybook.rollup order by name").fetch_all(&mut *tx).await?;
    let mut rollups = Vec::with_capacity(names.len());
    for name in names {
        rollups.push(compare_rollup(tx, name, slice).await?);
    }
    Ok(rollups)
}

async fn compare_rollup(tx: &mut Session<'_>, name: String, slice: DayRange) -> Result<RollupReport, sqlx::Error> {
    let mut report = RollupReport::new(name.clone());
    let mut days = sqlx::query_as(include_str!("compare.sql"))
        .bind(name)
        .bind(slice.since_sql())
        .bind(slice.until_sql())
        .bind(i64::try_from(EXAMPLES_MAX).unwrap_or(i64::MAX))
        .fetch(tx);
    while let Some((day, keys, drifted_keys, examples)) = days.try_next().await? {
        let (day, Json(examples)): (SqlDate, Json<Vec<Drift>>) = (day, examples);
        report.add_day(day.to_jiff(), keys, drifted_keys, examples);
    }
    Ok(report)
}

#[cfg(test)]
mod tests;
