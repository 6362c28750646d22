//! What has come of the fleet's reports: what it did, what the database sums up to, and what waits to be folded.
use super::WORKSPACE;
use super::tally::Counts;
use crate::db::pool::PgPool;
use crate::model::range::{DAYS_MAX, Days, Range, Zone};
use crate::query::summary::{self, Question};
use crate::query::{Measures, Reading};
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::time::Duration;

/// How things stand at one moment.
#[derive(Clone, Debug)]
pub struct Figures {
    /// How long the fleet has been at work.
    pub elapsed: Duration,
    /// What it has done in that time.
    pub counts: Counts,
    /// All usage in the database, that of earlier runs included: exact.
    pub usage: Measures,
    /// Change rows that wait to be folded.
    pub pending_rows: i64,
    /// The age of the oldest of them.
    pub lag: Duration,
}

/// Reads the figures.
pub(super) async fn read(pool: &PgPool, now: Timestamp, elapsed: Duration, counts: Counts) -> Result<Figures, sqlx::Error> {
    let days = Days::new(DAYS_MAX).expect("the most is not too many");
    let range = Range::last(days, &Zone::utc(), now).map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
    let question = Question { range, workspace: Some(WORKSPACE), runtime: None, by: BTreeSet::new() };
    let usage = summary::summary(pool, Reading::Rollups, &question).await?.total;
    let (pending_rows, lag_ms): (i64, i64) = sqlx::query_as(include_str!("figures.sql")).fetch_one(pool).await?;
    Ok(Figures { elapsed, counts, usage, pending_rows, lag: Duration::from_millis(lag_ms.try_into().unwrap_or(0)) })
}
