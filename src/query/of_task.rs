//! Usage of a task, by provider and model.
use super::answer::{Item, ask, complete_from, head};
use super::{Answer, Measures, Source};
use crate::db::pool::PgPool;
use crate::entity::Task;
use serde::Serialize;
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

/// What the task used, as far back as usage is known by its task.
pub async fn task_usage(pool: &PgPool, viewer: Option<Uuid>, id: Uuid) -> Result<Option<Answer<ModelUsage>>, super::Error> {
    let answer = ask(pool, |mut snapshot, source| async move {
        let Some(head) = head::<Task>(&mut snapshot, &source, viewer, id).await? else { return Ok(None) };
        let items = sqlx::query_as(include_str!("of_task.sql")).bind(id).bind(viewer).fetch_all(&mut *snapshot).await?;
        let complete_from = complete_from(&mut snapshot).await?;
        Ok(Some(Answer { complete_from, ..head.answer::<Task, _>(id, Source::Raw, None, items) }))
    });
    Ok(answer.await?)
}
