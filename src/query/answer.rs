//! What every answer says besides its numbers: of what, from where, when, and for which days.
use super::Measures;
use crate::entity::Entity;
use crate::model::instant::Instant;
use crate::model::labels::Labels;
use crate::model::range::Range;
use serde::Serialize;
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

/// Usage of one thing, in parts that add up.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Answer<I> {
    /// Where the numbers were read.
    pub source: Source,
    /// They equal the sums of the raw usage rows as of `as_of`: always true.
    #[schema(example = true)]
    pub exact: bool,
    /// When the snapshot of the database was taken.
    pub as_of: Instant,
    /// What the usage is of.
    pub subject: Subject,
    /// The days that were asked for; null for all time.
    pub range: Option<Range>,
    /// How many different tasks used anything, where that was counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 12)]
    pub task_count: Option<i64>,
    /// The parts.
    pub items: Vec<I>,
    /// Their sum.
    pub total: Measures,
}

/// Where numbers were read. All agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub enum Source {
    /// The now-view of the daily rollup.
    #[serde(rename = "tallybook.task_usage_daily_now")]
    Daily,
    /// The now-view of the quarter-hour rollup.
    #[serde(rename = "tallybook.task_usage_quarter_hour_now")]
    QuarterHour,
    /// The raw usage rows.
    #[serde(rename = "raw")]
    Raw,
}

/// What usage is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Subject {
    /// Its kind.
    #[schema(example = "runtime")]
    pub kind: &'static str,
    /// Its id.
    pub id: Uuid,
    /// Its name or title; tasks have none.
    #[schema(example = "build-7")]
    pub name: Option<String>,
    /// Its labels.
    pub labels: Labels,
}

/// A part of an answer.
pub(super) trait Item {
    /// What it adds to the total.
    fn measures(&self) -> &Measures;
}

/// What the first statement of a snapshot tells: of what, and when.
#[derive(sqlx::FromRow)]
pub(super) struct Head {
    as_of: Instant,
    name: Option<String>,
    labels: Labels,
}

/// Takes the snapshot; `None` when there is no such thing within `viewer`.
pub(super) async fn head<E: Entity>(
    snapshot: &mut PgConnection,
    viewer: Option<Uuid>,
    id: Uuid,
) -> Result<Option<Head>, sqlx::Error> {
    sqlx::query_as(E::SQL.subject).bind(id).bind(viewer).fetch_optional(snapshot).await
}

impl Head {
    /// The answer of which this is the head.
    pub(super) fn answer<E: Entity, I: Item>(self, id: Uuid, source: Source, range: Option<&Range>, items: Vec<I>) -> Answer<I> {
        let total = items.iter().fold(Measures::default(), |total, item| total + *item.measures());
        let subject = Subject { kind: E::ONE, id, name: self.name, labels: self.labels };
        Answer { source, exact: true, as_of: self.as_of, subject, range: range.cloned(), task_count: None, items, total }
    }
}
