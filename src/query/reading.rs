//! Where sums are read: from the now-views of rollups or, by the operator's flag, from the raw rows. Both answer alike.
//!
//! Raw answers without anybody's flag while a rollup may not be trusted: the verifier has found that it differs, or changes are not captured.
//! That is asked in the very snapshot that answers, so that no answer is of a rollup that was known to be wrong.
//!
//! A question that can be answered either way is one SQL text that names a now-view. Its range is `$2` and `$3`: days, both included,
//! for the daily rollup; the first instant and the first one after it for quarter hours. Raw takes the view's place, with its columns.
use super::Source;
use crate::db::session::Session;
use crate::db::source;
use sqlx::AssertSqlSafe;
use std::borrow::Cow;

/// Where sums are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reading {
    /// From the now-views.
    #[default]
    Rollups,
    /// From the raw rows: slower with every year of history, and independent of all that keeps rollups.
    Raw,
}

const DAILY: &str = "tallybook.task_usage_daily_now";
const QUARTER_HOUR: &str = "tallybook.task_usage_quarter_hour_now";

impl Reading {
    /// Where a question of `rollup` is answered from in this snapshot: from raw, too, where the rollup may not be trusted.
    pub(super) async fn settled(self, snapshot: &mut Session<'_>, rollup: Source) -> Result<Self, sqlx::Error> {
        let name = match (self, rollup) {
            (Self::Raw, _) | (_, Source::Raw) => return Ok(Self::Raw),
            (Self::Rollups, Source::Daily) => "task_usage_daily",
            (Self::Rollups, Source::QuarterHour) => "task_usage_quarter_hour",
        };
        let is_trusted = sqlx::query_scalar(include_str!("trust.sql")).bind(name).fetch_one(snapshot).await?;
        Ok(if is_trusted { Self::Rollups } else { Self::Raw })
    }

    /// The SQL of a question that names the now-view of `rollup`, for source tables as they are.
    pub(super) fn sql(self, source: &source::Source, question: &'static str, rollup: Source) -> AssertSqlSafe<Cow<'static, str>> {
        let AssertSqlSafe(question) = source.sql(question);
        AssertSqlSafe(match (self, rollup) {
            (Self::Rollups, _) | (_, Source::Raw) => question,
            (Self::Raw, Source::Daily) => question.replace(DAILY, include_str!("raw_daily.sql")).into(),
            (Self::Raw, Source::QuarterHour) => question.replace(QUARTER_HOUR, include_str!("raw_quarter_hour.sql")).into(),
        })
    }

    /// What the answer says of it.
    pub(super) fn source(self, rollup: Source) -> Source {
        match self {
            Self::Rollups => rollup,
            Self::Raw => Source::Raw,
        }
    }
}
