//! Usage of a task, by provider and model.
use super::answer::{Item, head};
use super::{Answer, Measures, Source};
use crate::db::snapshot::in_snapshot;
use crate::entity::Task;
use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;
use uuid::Uuid;

/// What one model used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, sqlx::FromRow, ToSchema)]
pub struct ModelUsage {
    /// Who serves the model, in lower case.
    #[schema(example = "anthropic")]
    pub provider: String,
    /// The model.
    #[schema(example = "claude-opus-4")]
    pub model: String,
    /// How much.
    #[serde(flatten)]
    #[sqlx(flatten)]
    pub usage: Measures,
}

impl Item for ModelUsage {
    fn measures(&self) -> &Measures {
        &self.usage
    }
}

/// What the task ever used.
pub async fn task_usage(pool: &PgPool, viewer: Option<Uuid>, id: Uuid) -> Result<Option<Answer<ModelUsage>>, super::Error> {
    let answer = in_snapshot(pool, |mut snapshot| async move {
        let Some(head) = head::<Task>(&mut snapshot, viewer, id).await? else { return Ok(None) };
        let items = sqlx::query_as(include_str!("of_task.sql")).bind(id).bind(viewer).fetch_all(&mut *snapshot).await?;
        Ok(Some(head.answer::<Task, _>(id, Source::Raw, None, items)))
    });
    Ok(answer.await?)
}
