//! Usage of a workspace, by UTC day and runtime.
use super::answer::{Item, ask, head};
use super::{Answer, Measures, Reading, Source};
use crate::db::pool::PgPool;
use crate::entity::Workspace;
use crate::model::range::Range;
use jiff::civil::Date;
use jiff_sqlx::ToSqlx;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// What was used on one runtime in a day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, sqlx::FromRow, ToSchema)]
pub struct RuntimeDayUsage {
    /// The UTC day.
    #[sqlx(try_from = "jiff_sqlx::Date")]
    #[schema(value_type = String, format = Date, example = "2026-03-10")]
    pub date: Date,
    /// The runtime; null for usage of tasks that have none.
    pub runtime_id: Option<Uuid>,
    /// Its name; null where there is no runtime, or it is another workspace's.
    #[schema(example = "build-7")]
    pub runtime_name: Option<String>,
    /// Whether this is what can be attributed to no runtime.
    #[sqlx(skip)]
    pub unattributed: bool,
    /// How much.
    #[serde(flatten)]
    #[sqlx(flatten)]
    pub usage: Measures,
}

impl Item for RuntimeDayUsage {
    fn measures(&self) -> &Measures {
        &self.usage
    }
}

/// What the workspace used, the newest day first; days without usage have no item.
pub async fn workspace_usage(
    pool: &PgPool,
    reading: Reading,
    viewer: Option<Uuid>,
    id: Uuid,
    range: &Range,
) -> Result<Option<Answer<RuntimeDayUsage>>, super::Error> {
    let answer = ask(pool, |mut snapshot, source| async move {
        let Some(head) = head::<Workspace>(&mut snapshot, &source, viewer, id).await? else { return Ok(None) };
        let reading = reading.settled(&mut snapshot, Source::Daily).await?;
        let mut items: Vec<RuntimeDayUsage> =
            sqlx::query_as(reading.sql(&source, include_str!("of_workspace.sql"), Source::Daily))
                .bind(id)
                .bind(range.from.to_sqlx())
                .bind(range.to.to_sqlx())
                .fetch_all(&mut *snapshot)
                .await?;
        for item in &mut items {
            item.unattributed = item.runtime_id.is_none();
        }
        Ok(Some(head.answer::<Workspace, _>(id, reading.source(Source::Daily), Some(range), items)))
    });
    Ok(answer.await?)
}
