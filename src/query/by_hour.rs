//! Usage of a runtime, by hour of the day in a time zone.
//!
//! Exact in every zone: since 1972 all offsets are whole quarter hours, and no range reaches further back.
use super::answer::{Item, head};
use super::{Answer, Measures, Source};
use crate::db::snapshot::in_snapshot;
use crate::entity::Runtime;
use crate::model::range::Range;
use jiff_sqlx::ToSqlx;
use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;
use uuid::Uuid;

/// What was used in one hour of the day, on all days together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, sqlx::FromRow, ToSchema)]
pub struct HourUsage {
    /// The hour that local clocks show, 0 to 23.
    #[schema(minimum = 0, maximum = 23, example = 14)]
    pub hour: i16,
    /// How much.
    #[serde(flatten)]
    #[sqlx(flatten)]
    pub usage: Measures,
}

impl Item for HourUsage {
    fn measures(&self) -> &Measures {
        &self.usage
    }
}

/// What the runtime used in each of the 24 hours, in their order; those without usage are there, too.
pub async fn runtime_by_hour(
    pool: &PgPool,
    viewer: Option<Uuid>,
    id: Uuid,
    range: &Range,
) -> Result<Option<Answer<HourUsage>>, super::Error> {
    let (from, until) = range.instants()?;
    let stretches = &range.stretches()?;
    let answer = in_snapshot(pool, |mut snapshot| async move {
        let Some(head) = head::<Runtime>(&mut snapshot, viewer, id).await? else { return Ok(None) };
        let used: Vec<HourUsage> = sqlx::query_as(include_str!("by_hour.sql"))
            .bind(id)
            .bind(from.to_sqlx())
            .bind(until.to_sqlx())
            .bind(viewer)
            .bind(stretches.iter().map(|s| s.from_epoch).collect::<Vec<_>>())
            .bind(stretches.iter().map(|s| s.until_epoch).collect::<Vec<_>>())
            .bind(stretches.iter().map(|s| s.offset_seconds).collect::<Vec<_>>())
            .fetch_all(&mut *snapshot)
            .await?;
        let of = |hour| used.iter().find(|item| item.hour == hour).map_or_else(Measures::default, |item| item.usage);
        let items = (0..24).map(|hour| HourUsage { hour, usage: of(hour) }).collect();
        Ok(Some(head.answer::<Runtime, _>(id, Source::QuarterHour, Some(range), items)))
    });
    Ok(answer.await?)
}
