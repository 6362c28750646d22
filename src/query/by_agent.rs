//! Usage of a runtime, by agent.
use super::answer::{Item, head};
use super::{Answer, Measures, Source};
use crate::db::snapshot::in_snapshot;
use crate::entity::Runtime;
use crate::model::labels::Labels;
use crate::model::range::Range;
use jiff_sqlx::ToSqlx;
use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;
use uuid::Uuid;

/// What one agent used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, sqlx::FromRow, ToSchema)]
pub struct AgentUsage {
    /// The agent.
    pub agent_id: Uuid,
    /// Its name.
    #[schema(example = "reviewer")]
    pub agent_name: String,
    /// Its labels.
    pub agent_labels: Labels,
    /// How much.
    #[serde(flatten)]
    #[sqlx(flatten)]
    pub usage: Measures,
}

impl Item for AgentUsage {
    fn measures(&self) -> &Measures {
        &self.usage
    }
}

/// What each agent used on the runtime, the most expensive first.
pub async fn runtime_by_agent(
    pool: &PgPool,
    viewer: Option<Uuid>,
    id: Uuid,
    range: &Range,
) -> Result<Option<Answer<AgentUsage>>, super::Error> {
    let (from, until) = range.instants()?;
    let answer = in_snapshot(pool, |mut snapshot| async move {
        let Some(head) = head::<Runtime>(&mut snapshot, viewer, id).await? else { return Ok(None) };
        let items = sqlx::query_as(include_str!("by_agent.sql"))
            .bind(id)
            .bind(from.to_sqlx())
            .bind(until.to_sqlx())
            .bind(viewer)
            .fetch_all(&mut *snapshot)
            .await?;
        Ok(Some(head.answer::<Runtime, _>(id, Source::QuarterHour, Some(range), items)))
    });
    Ok(answer.await?)
}
