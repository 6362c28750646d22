//! Usage of a runtime, by UTC day, provider and model.
use super::answer::{Item, ask, head};
use super::{Answer, Measures, Reading, Source};
use crate::db::pool::PgPool;
use crate::entity::Runtime;
use crate::model::range::Range;
use jiff::civil::Date;
use jiff_sqlx::ToSqlx;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// What one model used in a day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, sqlx::FromRow, ToSchema)]
pub struct DayUsage {
    /// The UTC day.
    #[sqlx(try_from = "jiff_sqlx::Date")]
    #[schema(value_type = String, format = Date, example = "2026-03-10")]
    pub date: Date,
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

impl Item for DayUsage {
    fn measures(&self) -> &Measures {
        &self.usage
    }
}

/// What the runtime used, the newest day first; days without usage have no item.
pub async fn runtime_usage(
    pool: &PgPool,
    reading: Reading,
    viewer: Option<Uuid>,
    id: Uuid,
    range: &Range,
) -> Result<Option<Answer<DayUsage>>, super::Error> {
    let answer = ask(pool, |mut snapshot, source| async move {
        let Some(head) = head::<Runtime>(&mut snapshot, &source, viewer, id).await? else { return Ok(None) };
        let reading = reading.settled(&mut snapshot, Source::Daily).await?;
        let items = sqlx::query_as(reading.sql(&source, include_str!("of_runtime.sql"), Source::Daily))
            .bind(id)
            .bind(range.from.to_sqlx())
            .bind(range.to.to_sqlx())
            .bind(viewer)
            .fetch_all(&mut *snapshot)
            .await?;
        Ok(Some(head.answer::<Runtime, _>(id, reading.source(Source::Daily), Some(range), items)))
    });
    Ok(answer.await?)
}
