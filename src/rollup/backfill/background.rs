//! History in the background of a service: a slice now and then, and never in anybody's way.
use super::{Slice, cover_slice, settle};
use crate::db::error::{Cause, cause};
use crate::db::pool::PgPool;
use crate::rollup::verify::DayRange;
use std::time::{Duration, Instant};

/// How long a view that readers hold is left alone: whoever waits for it makes other readers wait.
const SETTLE_AGAIN: Duration = Duration::from_mins(1);

/// What one service remembers between two steps.
#[derive(Debug, Default)]
pub(in crate::rollup) struct Background {
    settles_from: Option<Instant>,
}

impl Background {
    /// Covers one more slice, unless somebody else is at work, or a slice was covered a moment ago, by whoever.
    pub(in crate::rollup) async fn step(&mut self, pool: &PgPool, slice_rows: i64) -> Result<Option<Slice>, sqlx::Error> {
        let (uncovered, unsettled): (bool, bool) = sqlx::query_as(
            "select coalesce(bool_or(covered_from > '-infinity'), false), coalesce(bool_or(covered_from = '-infinity' and reads_raw), false)
             from tallybook.rollup",
        )
        .fetch_one(pool)
        .await?;
        if unsettled && self.settles_from.is_none_or(|from| Instant::now() >= from) {
            match settle(pool).await {
                Err(error) if cause(&error) == Cause::Conflict => self.settles_from = Some(Instant::now() + SETTLE_AGAIN),
                settled => settled?,
            }
        }
        if uncovered { cover_slice(pool, slice_rows, DayRange::ALL, true).await } else { Ok(None) }
    }
}
