//! Whether the now-views equal raw, asked all the time from when they come until they go: of the newest days, and of any others.
use super::DAYS;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use sqlx::PgConnection;
use std::time::Duration;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// What was found.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Checked {
    pub(super) checks: u64,
    /// That were compared.
    pub(super) keys: u64,
    /// That were asked again.
    pub(super) retries: u64,
    /// That differed.
    pub(super) differing: u64,
}

impl Checked {
    fn add(&mut self, (differing, keys): (i64, i64)) {
        self.checks += 1;
        self.keys += u64::try_from(keys).unwrap();
        self.differing += u64::try_from(differing).unwrap();
    }
}

/// How often the views are looked for.
const POLL: Duration = Duration::from_millis(10);

/// Compares a day after the other, each in one snapshot, from when the views are there until they are gone, which they may be once they are `leaving`.
pub(super) async fn check(mut conn: PgConnection, seed: u64, leaving: CancellationToken) -> Checked {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut checked = Checked::default();
    loop {
        let newest = rng.random_bool(0.3);
        let days_ago = if newest { 0 } else { rng.random_range(0..DAYS) };
        match days(&mut conn, days_ago, 1).await {
            Ok(found) => checked.add(found),
            // A snapshot that is older than a view which has just been made anew, or one that waits for it the wrong way round, asks again.
            Err(error) if has_code(&error, &["40001", "40P01"]) => checked.retries += 1,
            // A view that goes while it is read is told in several ways.
            Err(sqlx::Error::Database(_)) if leaving.is_cancelled() => return checked,
            Err(error) if checked.checks == 0 && has_code(&error, &["42P01"]) => sleep(POLL).await,
            Err(error) => panic!("a comparison failed: {error}"),
        }
    }
}

/// In how many keys the days from `days_ago` on, so many of them, differ, and how many keys there are. The last one may lie ahead.
async fn days(conn: &mut PgConnection, days_ago: i32, count: i32) -> Result<(i64, i64), sqlx::Error> {
    let (since, until): (String, String) = sqlx::query_as(
        "select (d - $1)::timestamp::text || '+00', (d - $1 + $2)::timestamp::text || '+00' from (select (now() at time zone 'UTC')::date) today (d)",
    )
    .bind(days_ago)
    .bind(count)
    .fetch_one(&mut *conn)
    .await?;
    sqlx::query_as(include_str!("day.sql")).bind(since).bind(until).fetch_one(conn).await
}

fn has_code(error: &sqlx::Error, codes: &[&str]) -> bool {
    error.as_database_error().and_then(sqlx::error::DatabaseError::code).is_some_and(|code| codes.contains(&&*code))
}
