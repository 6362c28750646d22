//! What every answer says besides its numbers: of what, from where, when, and for which days.
use super::Measures;
use crate::adopt::follow_columns;
use crate::db::pool::PgPool;
use crate::db::session::Session;
use crate::db::snapshot::{Snapshot, in_snapshot};
use crate::db::source;
use crate::entity::Entity;
use crate::model::instant::Instant;
use crate::model::labels::Labels;
use crate::model::range::Range;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;
use uuid::Uuid;

/// Usage of one thing, in parts that add up.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Answer<I> {
    /// Where the numbers were read.
    pub source: Source,
    /// They equal the sums of the usage rows, raw and sealed, as of `as_of`: always true.
    #[schema(example = true)]
    pub exact: bool,
    /// When the snapshot of the database was taken.
    pub as_of: Instant,
    /// What the usage is of.
    pub subject: Subject,
    /// The days that were asked for; null for all time.
    pub range: Option<Range>,
    /// Of tasks and issues: usage that happened before may have been sealed since, and is then not in here, though in every total by day,
    /// agent, runtime or workspace. Left out where nothing is sealed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "2026-01-01T00:00:00Z")]
    pub complete_from: Option<Instant>,
    /// Of hours: usage that happened before is known by its UTC day alone, and is not in here. Left out where that is none of the range.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "2025-01-01T00:00:00Z")]
    pub exact_from: Option<Instant>,
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

/// Asks in a snapshot, of the source tables as they are; once more where they have changed since somebody looked, after following that
/// as the next fold would.
pub(super) async fn ask<T, F>(pool: &PgPool, ask: impl Fn(Snapshot, Arc<source::Source>) -> F + Sync) -> Result<T, sqlx::Error>
where
    F: Future<Output = Result<T, sqlx::Error>>,
{
    let source = pool.source().await?;
    match in_snapshot(pool, |snapshot| ask(snapshot, Arc::clone(&source))).await {
        Err(error) if source::is_out_of_date(&error) => pool.forget_source(),
        answer => return answer,
    }
    if let Err(error) = follow_columns(pool).await {
        tracing::warn!(%error, "the source tables were changed, and that cannot be followed");
    }
    let source = pool.source().await?;
    in_snapshot(pool, |snapshot| ask(snapshot, Arc::clone(&source))).await
}

/// Takes the snapshot; `None` when there is no such thing within `viewer`.
pub(super) async fn head<E: Entity>(
    snapshot: &mut Session<'_>,
    source: &source::Source,
    viewer: Option<Uuid>,
    id: Uuid,
) -> Result<Option<Head>, sqlx::Error> {
    sqlx::query_as(source.sql(E::SQL.subject)).bind(id).bind(viewer).fetch_optional(snapshot).await
}

/// From when on usage is known by its task and issue; none when all is.
pub(super) async fn complete_from(snapshot: &mut Session<'_>) -> Result<Option<Instant>, sqlx::Error> {
    sqlx::query_scalar("select tallybook.tasks_complete_from()").fetch_one(snapshot).await
}

impl Head {
    /// The answer of which this is the head.
    pub(super) fn answer<E: Entity, I: Item>(self, id: Uuid, source: Source, range: Option<&Range>, items: Vec<I>) -> Answer<I> {
        let total = items.iter().fold(Measures::default(), |total, item| total + *item.measures());
        let subject = Subject { kind: E::ONE, id, name: self.name, labels: self.labels };
        let range = range.cloned();
        let (complete_from, exact_from, task_count) = (None, None, None);
        Answer { source, exact: true, as_of: self.as_of, subject, range, complete_from, exact_from, task_count, items, total }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use sqlx::Executor;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[tokio::test]
    async fn tables_that_have_changed_are_looked_at_again_and_other_failures_are_told_at_once() {
        let db = testing::database().await;
        for (fails, is_asked_again) in [("select nowhere from public.task_usage", true), ("select 1 / 0", false)] {
            let asked = AtomicU32::new(0);
            let answer = ask(&db.pool, |mut snapshot, _| {
                let question = if asked.fetch_add(1, Ordering::Relaxed) == 0 { fails } else { "select" };
                async move { snapshot.execute(question).await.map(drop) }
            });
            assert_eq!(answer.await.is_ok(), is_asked_again, "{fails}");
            assert_eq!(asked.into_inner(), 1 + u32::from(is_asked_again), "{fails}");
        }
    }
}
