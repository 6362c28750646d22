//! Usage of a runtime, by hour of the day in a time zone.
//!
//! Exact in every zone: since 1972 all offsets are whole quarter hours, and no range reaches further back. Usage whose quarter hours
//! retention has thinned to UTC days has no hour: it is left out, and the answer says from when on it is exact.
use super::answer::{Item, ask, head};
use super::{Answer, Measures, Reading, Source};
use crate::db::pool::PgPool;
use crate::entity::Runtime;
use crate::model::instant::Instant;
use crate::model::range::Range;
use jiff_sqlx::ToSqlx;
use serde::Serialize;
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

/// What the runtime used in each of the 24 hours, in their order; those without usage are there, too. Days that retention has thinned
/// are not.
pub async fn runtime_by_hour(
    pool: &PgPool,
    reading: Reading,
    viewer: Option<Uuid>,
    id: Uuid,
    range: &Range,
) -> Result<Option<Answer<HourUsage>>, super::Error> {
    let (from, until) = range.instants()?;
    let stretches = &range.stretches()?;
    let answer = ask(pool, |mut snapshot, source| async move {
        let Some(head) = head::<Runtime>(&mut snapshot, &source, viewer, id).await? else { return Ok(None) };
        let reading = reading.settled(&mut snapshot, Source::QuarterHour).await?;
        let known: Option<Instant> =
            sqlx::query_scalar("select tallybook.quarter_hours_exact_from()").fetch_one(&mut *snapshot).await?;
        let exact_from = known.filter(|known| known.timestamp() > from);
        let used: Vec<HourUsage> = sqlx::query_as(reading.sql(&source, include_str!("by_hour.sql"), Source::QuarterHour))
            .bind(id)
            .bind(exact_from.map_or(from, Instant::timestamp).to_sqlx())
            .bind(until.to_sqlx())
            .bind(viewer)
            .bind(stretches.iter().map(|s| s.from_epoch).collect::<Vec<_>>())
            .bind(stretches.iter().map(|s| s.until_epoch).collect::<Vec<_>>())
            .bind(stretches.iter().map(|s| s.offset_seconds).collect::<Vec<_>>())
            .fetch_all(&mut *snapshot)
            .await?;
        let of = |hour| used.iter().find(|item| item.hour == hour).map_or_else(Measures::default, |item| item.usage);
        let items = (0..24).map(|hour| HourUsage { hour, usage: of(hour) }).collect();
        let source = reading.source(Source::QuarterHour);
        Ok(Some(Answer { exact_from, ..head.answer::<Runtime, _>(id, source, Some(range), items) }))
    });
    Ok(answer.await?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::range::{Days, Zone};
    use crate::testing::{self, TestDatabase};
    use jiff::tz::TimeZone;
    use jiff::{SignedDuration, Timestamp};
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};
    use std::collections::BTreeMap;

    const TASK: Uuid = Uuid::from_u128(0x4000_8000_0000_0000_0004);
    const RUNTIME: Uuid = Uuid::from_u128(0x4000_8000_0000_0000_0002);
    /// Between them lies all usage, with some changes of the clocks of every zone that sets them.
    const SINCE: Timestamp = Timestamp::constant(1_704_067_200, 0);
    const UNTIL: Timestamp = Timestamp::constant(1_767_225_600, 0);
    const ROWS: usize = 6_000;
    /// Changes of a zone's clocks that are looked at.
    const CHANGES: usize = 2;

    /// Instants, most of them at the edges of quarter hours, with tokens each.
    fn usage(random: &mut StdRng) -> Vec<(Timestamp, i64)> {
        let quarters = (UNTIL.as_second() - SINCE.as_second()) / 900;
        let one = |random: &mut StdRng| {
            let quarter = SINCE + SignedDuration::from_secs(900 * random.random_range(1..quarters));
            let beside = [-1, 0, 0, 1, random.random_range(0..900_000_000)][random.random_range(0..5)];
            (quarter + SignedDuration::from_micros(beside), random.random_range(1..1_000_000_000))
        };
        (0..ROWS).map(|_| one(random)).collect()
    }

    async fn store(database: &TestDatabase, usage: &[(Timestamp, i64)]) {
        sqlx::query(
            "insert into public.task_usage (task_id, provider, model, event_key, input_tokens, created_at)
             select $1, 'p', 'm', gen_random_uuid()::text, tokens, at from unnest($2::bigint[], $3::timestamptz[]) as u (tokens, at)",
        )
        .bind(TASK)
        .bind(usage.iter().map(|(_, tokens)| *tokens).collect::<Vec<_>>())
        .bind(usage.iter().map(|(at, _)| at.to_sqlx()).collect::<Vec<_>>())
        .execute(&database.pool)
        .await
        .unwrap();
    }

    /// What local clocks say of each single row.
    fn by_local_clocks(usage: &[(Timestamp, i64)], zone: &TimeZone, range: &Range) -> BTreeMap<i16, i128> {
        let mut hours = BTreeMap::new();
        for (at, tokens) in usage {
            let local = at.to_zoned(zone.clone());
            if (range.from..=range.to).contains(&local.date()) {
                *hours.entry(i16::from(local.hour())).or_default() += i128::from(*tokens);
            }
        }
        hours
    }

    /// Somewhere in the day or two after each of some changes of the clocks, and anywhere.
    fn moments(zone: &TimeZone, random: &mut StdRng) -> Vec<Timestamp> {
        let first = SINCE + SignedDuration::from_hours(24 * random.random_range(5..365));
        let changes = zone.following(first).map(|change| change.timestamp()).take_while(|at| *at < UNTIL).take(CHANGES);
        let mut moments: Vec<Timestamp> = changes.collect();
        for moment in &mut moments {
            *moment += SignedDuration::from_secs(random.random_range(0..36 * 3_600));
        }
        moments.push(first);
        moments
    }

    #[tokio::test]
    async fn r17_the_hours_of_every_zone_equal_raw_at_local_time_also_where_clocks_change() {
        let database = testing::database().await;
        sqlx::raw_sql(include_str!("../testing/one_task.sql")).execute(&database.pool).await.unwrap();
        let mut random = StdRng::seed_from_u64(17);
        let usage = usage(&mut random);
        // Some folded, some pending.
        store(&database, &usage[..ROWS * 9 / 10]).await;
        crate::rollup::fold::drain(&database.pool).await.unwrap();
        store(&database, &usage[ROWS * 9 / 10..]).await;
        let mut zones = 0;
        for name in jiff::tz::db().available() {
            let zone: Zone = name.as_str().parse().unwrap();
            let local = TimeZone::get(name.as_str()).unwrap();
            for now in moments(&local, &mut random) {
                let range = Range::last(Days::new(random.random_range(1..5)).unwrap(), &zone, now).unwrap();
                let answer = runtime_by_hour(&database.pool, Reading::Rollups, None, RUNTIME, &range).await.unwrap().unwrap();
                let used = answer.items.iter().filter(|item| item.usage.event_count.get() > 0);
                let shown: BTreeMap<i16, i128> = used.map(|item| (item.hour, item.usage.input_tokens.get())).collect();
                assert_eq!(shown, by_local_clocks(&usage, &local, &range), "{} at {now}: {range:?}", name.as_str());
            }
            zones += 1;
        }
        assert!(zones > 300, "only {zones} zones are known");
    }
}
