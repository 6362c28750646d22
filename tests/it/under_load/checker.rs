//! Whether the now-views equal raw, asked all the time while Tallybook is there: of the newest days, and of any others.
use super::DAYS;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use sqlx::PgConnection;
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

/// Compares a day after the other until `stop`, each in one snapshot.
pub(super) async fn check(mut conn: PgConnection, seed: u64, stop: CancellationToken) -> Checked {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut checked = Checked::default();
    while !stop.is_cancelled() {
        let newest = rng.random_bool(0.3);
        let days_ago = if newest { 0 } else { rng.random_range(0..DAYS) };
        match days(&mut conn, days_ago, 1).await {
            Ok(found) => checked.add(found),
            // A snapshot that is older than a view which has just been made anew, or one that waits for it the wrong way round, asks again.
            Err(error) if is_retry(&error) => checked.retries += 1,
            Err(error) => panic!("a comparison failed: {error}"),
        }
    }
    checked
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

fn is_retry(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(sqlx::error::DatabaseError::code).is_some_and(|code| code == "40001" || code == "40P01")
}
