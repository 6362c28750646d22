//! Usage of a runtime, by agent. Of days in UTC: whatever retention has thinned is in its day.
use super::answer::{Item, ask, head};
use super::{Answer, Measures, Reading, Source};
use crate::db::pool::PgPool;
use crate::entity::Runtime;
use crate::model::labels::Labels;
use crate::model::range::Range;
use jiff_sqlx::ToSqlx;
use serde::Serialize;
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
    reading: Reading,
    viewer: Option<Uuid>,
    id: Uuid,
    range: &Range,
) -> Result<Option<Answer<AgentUsage>>, super::Error> {
    let (from, until) = range.instants()?;
    let answer = ask(pool, |mut snapshot, source| async move {
        let Some(head) = head::<Runtime>(&mut snapshot, &source, viewer, id).await? else { return Ok(None) };
        let reading = reading.settled(&mut snapshot, Source::QuarterHour).await?;
        let items = sqlx::query_as(reading.sql(&source, include_str!("by_agent.sql"), Source::QuarterHour))
            .bind(id)
            .bind(from.to_sqlx())
            .bind(until.to_sqlx())
            .bind(viewer)
            .fetch_all(&mut *snapshot)
            .await?;
        Ok(Some(head.answer::<Runtime, _>(id, reading.source(Source::QuarterHour), Some(range), items)))
    });
    Ok(answer.await?)
}
