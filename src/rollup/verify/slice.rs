//! Slices: what is compared in one snapshot.
//!
//! Invariant: the slices of a range cover it whole, by ranges of time, never by days found in raw: a rollup row on a day without usage
//! lies in one of them.
//!
//! What is pending is computed anew for every slice: where nobody folds, slices grow with the backlog, and a sample of many days is slow.
use crate::db::session::Session;
use jiff::ToSpan;
use jiff::civil::{Date, date};
use jiff_sqlx::{Date as SqlDate, ToSqlx};

/// The day that holds whatever is older or has no time.
const FIRST_DAY: Date = date(1, 1, 1);
/// The day that holds whatever is later.
const LAST_DAY: Date = date(9999, 12, 31);

/// A range of UTC days; a bound that is missing leaves it open to that side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct DayRange {
    /// The first day.
    pub since: Option<Date>,
    /// The day after the last one.
    pub until: Option<Date>,
}

impl DayRange {
    /// All of time.
    pub const ALL: Self = Self { since: None, until: None };

    /// From one day to another, both included.
    pub fn between(first: Option<Date>, last: Option<Date>) -> Self {
        Self {
            since: first.filter(|day| *day > FIRST_DAY),
            until: last.filter(|day| *day < LAST_DAY).map(|day| day.saturating_add(1.day())),
        }
    }

    /// A range of dates out of the database.
    pub(in crate::rollup) fn from_sql(since: Option<SqlDate>, until: Option<SqlDate>) -> Self {
        Self { since: since.map(SqlDate::to_jiff), until: until.map(SqlDate::to_jiff) }
    }

    /// The first day, for the database.
    pub(crate) fn since_sql(self) -> Option<SqlDate> {
        self.since.map(ToSqlx::to_sqlx)
    }

    /// The day after the last one, for the database.
    pub(crate) fn until_sql(self) -> Option<SqlDate> {
        self.until.map(ToSqlx::to_sqlx)
    }

    /// One day. The first and the last one reach to the ends of time, as their buckets do.
    pub fn day(day: Date) -> Self {
        Self::between(Some(day), Some(day))
    }
}

/// Cuts a range into slices of about `rows_max` raw rows, newest first.
pub(super) async fn cut(tx: &mut Session<'_>, range: DayRange, rows_max: i64) -> Result<Vec<DayRange>, sqlx::Error> {
    let slices: Vec<(Option<SqlDate>, Option<SqlDate>)> = sqlx::query_as(include_str!("cut.sql"))
        .bind(range.since_sql())
        .bind(range.until_sql())
        .bind(rows_max)
        .fetch_all(tx)
        .await?;
    Ok(slices.into_iter().map(|(since, until)| DayRange::from_sql(since, until)).collect())
}

/// The days of a range on which there is raw usage or a row of any rollup, in order.
pub(super) async fn days_held(tx: &mut Session<'_>, range: DayRange) -> Result<Vec<Date>, sqlx::Error> {
    let days: Vec<SqlDate> =
        sqlx::query_scalar(include_str!("days_held.sql")).bind(range.since_sql()).bind(range.until_sql()).fetch_all(tx).await?;
    Ok(days.into_iter().map(SqlDate::to_jiff).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_holds_its_last_day_and_the_outermost_days_reach_to_the_ends() {
        let (first, last) = (date(2026, 1, 31), date(2026, 2, 28));
        let range = DayRange::between(Some(first), Some(last));
        assert_eq!((range.since, range.until), (Some(first), Some(date(2026, 3, 1))));
        assert_eq!(DayRange::between(None, None), DayRange::ALL);
        assert_eq!(DayRange::day(FIRST_DAY), DayRange { since: None, until: Some(date(1, 1, 2)) });
        assert_eq!(DayRange::day(LAST_DAY), DayRange { since: Some(LAST_DAY), until: None });
    }
}
