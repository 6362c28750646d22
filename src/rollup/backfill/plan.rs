//! What a run would do: nothing is written, and every raw row that is not covered is counted.
use super::Options;
use crate::db::pool::PgPool;
use crate::db::session::Session;
use crate::db::snapshot::in_snapshot;
use jiff::Timestamp;
use jiff_sqlx::Timestamp as SqlTimestamp;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Raw rows that are summed to measure the pace where no slice was ever covered.
const SAMPLE_ROWS: i64 = 20_000;

/// A run that has not begun.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Plan {
    /// The slices, newest first.
    pub slices: Vec<PlannedSlice>,
    /// Raw rows on days that are to be covered.
    pub raw_rows: i64,
    /// What each rollup lacks of that.
    pub rollups: Vec<PlannedRollup>,
    /// How fast it goes; none where there is nothing to cover.
    pub pace: Option<Pace>,
    /// How long it takes at that pace, in seconds.
    pub seconds_estimated: Option<u64>,
}

/// A slice that would be covered.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct PlannedSlice {
    /// Its first instant; none: the beginning of time.
    pub since: Option<Timestamp>,
    /// The first instant after it; none: the end of time.
    pub until: Option<Timestamp>,
    /// Raw rows in it.
    pub raw_rows: i64,
    /// UTC days on which they lie.
    pub days: i64,
}

/// What one rollup lacks.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct PlannedRollup {
    /// The rollup.
    pub name: String,
    /// UTC days with usage.
    pub days: i64,
    /// Raw rows on them.
    pub raw_rows: i64,
}

/// How fast raw rows are covered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Pace {
    /// Raw rows a second, without pauses.
    pub rows_per_second: u64,
    /// How that is known.
    pub basis: Basis,
}

/// How a pace is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// The last slices took so long.
    LastSlices,
    /// No slice was covered yet: some raw rows were summed, and nothing was written.
    Sample,
}

type Row = (Option<SqlTimestamp>, Option<SqlTimestamp>, Vec<String>, i64, i64);

/// Plans what [`super::cover`] would do with the same options.
pub async fn plan(pool: &PgPool, options: &Options) -> Result<Plan, sqlx::Error> {
    in_snapshot(pool, |mut snapshot| async move {
        let rows: Vec<Row> = sqlx::query_as(include_str!("plan.sql"))
            .bind(options.throttle.slice_rows(options.slice_rows))
            .bind(options.days().since_sql())
            .fetch_all(&mut *snapshot)
            .await?;
        let (mut slices, mut rollups) = (Vec::with_capacity(rows.len()), BTreeMap::<String, (i64, i64)>::new());
        for (since, until, lacking, raw_rows, days) in rows {
            for name in lacking {
                let lacks = rollups.entry(name).or_default();
                *lacks = (lacks.0 + days, lacks.1 + raw_rows);
            }
            let (since, until) = (since.map(SqlTimestamp::to_jiff), until.map(SqlTimestamp::to_jiff));
            slices.push(PlannedSlice { since, until, raw_rows, days });
        }
        let raw_rows = slices.iter().map(|slice| slice.raw_rows).sum();
        let rollups = rollups.into_iter().map(|(name, (days, raw_rows))| PlannedRollup { name, days, raw_rows }).collect();
        let pace = if raw_rows > 0 { pace(&mut snapshot).await? } else { None };
        let estimated = pace.map(|pace| {
            let work = Duration::from_secs(u64::try_from(raw_rows).unwrap_or(0).div_ceil(pace.rows_per_second.max(1)));
            // A pause comes on top of the work, a rate includes it.
            let paused = options.throttle.pause.saturating_mul(u32::try_from(slices.len()).unwrap_or(u32::MAX));
            work.saturating_add(paused).max(options.throttle.least(raw_rows, slices.len())).as_secs()
        });
        Ok(Plan { slices, raw_rows, rollups, pace, seconds_estimated: estimated })
    })
    .await
}

async fn pace(snapshot: &mut Session<'_>) -> Result<Option<Pace>, sqlx::Error> {
    let stored: Option<i64> = sqlx::query_scalar(
        "select (recent_rows / nullif(extract(epoch from recent_busy), 0))::bigint from tallybook.backfill_state where recent_rows > 0",
    )
    .fetch_optional(&mut *snapshot)
    .await?
    .flatten();
    if let Some(rate) = stored.and_then(|rate| u64::try_from(rate).ok()).filter(|rate| *rate > 0) {
        return Ok(Some(Pace { rows_per_second: rate, basis: Basis::LastSlices }));
    }
    let began = Instant::now();
    let summed: i64 = sqlx::query_scalar(include_str!("sample.sql")).bind(SAMPLE_ROWS).fetch_one(snapshot).await?;
    let rows_per_second = rate(u64::try_from(summed).unwrap_or(0), began.elapsed());
    Ok((summed > 0).then_some(Pace { rows_per_second, basis: Basis::Sample }))
}

/// So many rows in such a time, a second.
fn rate(rows: u64, took: Duration) -> u64 {
    u64::try_from(u128::from(rows) * 1_000_000 / took.as_micros().max(1)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_of_a_second_whatever_the_time() {
        assert_eq!(rate(3, Duration::from_millis(2)), 1_500);
        assert_eq!(rate(3, Duration::from_secs(2)), 1);
        assert_eq!(rate(3, Duration::ZERO), 3_000_000);
        assert_eq!(rate(u64::MAX, Duration::ZERO), u64::MAX);
    }
}
