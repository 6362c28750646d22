//! The continuous verifier of a service: compares one slice after the other, for ever, at a low and bounded rate.
//!
//! The newest days and a slice of history take turns; when history has been walked to its beginning, it begins anew. How far it is
//! lies in the database (`tallybook.verify_state`), so that any number of instances share the work, not the load multiplied, and a
//! restart goes on. What differs is logged once and kept in `tallybook.drift`; it is never repaired here. A database that goes
//! away is waited for.
use super::backoff::Backoff;
use super::drift;
use super::verify::{self, DayRange};
use crate::adopt;
use crate::db::pool::PgPool;
use jiff::Timestamp;
use jiff_sqlx::{Date as SqlDate, Timestamp as SqlTimestamp, ToSqlx};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

/// Raw rows of a slice, more or less: few, so that a snapshot does not last.
const SLICE_ROWS: i64 = 50_000;
/// Least pause between two slices, and between two looks whether one is due.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// Longest pause. `verifier_claim.sql` trusts that no date lies farther ahead.
const PAUSE_MAX: Duration = Duration::from_hours(1);
/// Longest pause after failures.
const PAUSE_FAILED_MAX: Duration = Duration::from_mins(1);
/// Share of the time that comparing may take.
const DUTY_DIVISOR: u32 = 50;

/// What the verifier tells of each slice.
pub trait Observer: Send + Sync {
    /// A slice was compared: so many keys, of which so many differ.
    fn verified(&self, keys: i64, drifted_keys: i64, duration: Duration);
    /// A slice could not be compared.
    fn could_not_verify(&self);
}

/// A slice that this instance has taken on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Turn {
    /// The newest days, not history.
    is_newest: bool,
    slice: DayRange,
    started_at: Timestamp,
}

/// Verifies until `cancel` is called.
pub async fn run(pool: PgPool, cancel: CancellationToken, observer: impl Observer) {
    let mut backoff = Backoff::new(PAUSE_MIN, PAUSE_FAILED_MAX);
    loop {
        let pause = match step(&pool, &observer).await {
            Ok(_) => {
                if let Some(failures) = backoff.ended() {
                    info!(verify.failures = failures, "verifying again");
                }
                PAUSE_MIN
            }
            Err(error) => {
                let (failures, pause) = backoff.failed();
                observer.could_not_verify();
                if failures == 1 {
                    error!(%error, "could not verify; trying again");
                }
                pause
            }
        };
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Compares one slice if one is due; tells whether one was.
async fn step(pool: &PgPool, observer: &impl Observer) -> Result<bool, sqlx::Error> {
    // First what may have changed unseen: it makes everything due.
    adopt::follow(pool).await?;
    let Some(turn) = claim(pool, SLICE_ROWS).await? else { return Ok(false) };
    let compared = compare(pool, turn, observer).await;
    if compared.is_err() {
        // Else nobody looks before the claim has run out. Where this fails as well, the first failure says it all.
        drop(sqlx::query("update tallybook.verify_state set due_at = '-infinity'").execute(pool).await);
    }
    compared.map(|()| true)
}

#[tracing::instrument(
    target = "tallybook::trace", level = "trace", name = "slice", skip_all, err(level = "trace"), fields(otel.name = "verify slice")
)]
async fn compare(pool: &PgPool, turn: Turn, observer: &impl Observer) -> Result<(), sqlx::Error> {
    let began = Instant::now();
    let compared = verify::compare(pool, turn.slice).await?;
    let duration = began.elapsed();
    for rollup in &compared {
        let new = drift::record(pool, &rollup.name, turn.slice, &rollup.drifted_days).await?;
        if let Some(first) = new.first() {
            error!(
                rollup = rollup.name,
                drift.keys = new.iter().map(|day| day.keys).sum::<i64>(),
                drift.days = new.len(),
                drift.first_day = %first.day,
                "a rollup differs from raw usage; `tallybook doctor` looks for the cause, `tallybook repair` rebuilds what differs"
            );
        }
    }
    finish(pool, turn, rest(duration)).await?;
    let (keys, drifted_keys) = compared.iter().fold((0, 0), |(keys, drifted), r| (keys + r.keys, drifted + r.drifted_keys));
    observer.verified(keys, drifted_keys, duration);
    Ok(())
}

/// How long nobody compares after a slice that took so long.
fn rest(comparing: Duration) -> Duration {
    (comparing * DUTY_DIVISOR).clamp(PAUSE_MIN, PAUSE_MAX)
}

/// Takes on the slice that is due, so that no other instance does; none when none is.
#[tracing::instrument(
    target = "tallybook::trace", level = "trace", name = "transaction", skip_all, err(level = "trace"),
    fields(otel.name = "claim slice", otel.kind = "client", db.system.name = "postgresql")
)]
async fn claim(pool: &PgPool, slice_rows: i64) -> Result<Option<Turn>, sqlx::Error> {
    let claimed: Option<(bool, Option<SqlDate>, Option<SqlDate>, SqlTimestamp)> =
        sqlx::query_as(include_str!("verifier_claim.sql")).bind(slice_rows).fetch_optional(pool).await?;
    Ok(claimed.map(|(is_newest, since, until, started_at)| Turn {
        is_newest,
        slice: DayRange::from_sql(since, until),
        started_at: started_at.to_jiff(),
    }))
}

/// Notes that the slice was compared, and when the next one is due.
async fn finish(pool: &PgPool, turn: Turn, pause: Duration) -> Result<(), sqlx::Error> {
    sqlx::query(include_str!("verifier_finish.sql"))
        .bind(turn.is_newest)
        .bind(turn.slice.since_sql())
        .bind(turn.slice.until_sql())
        .bind(turn.started_at.to_sqlx())
        .bind(i64::try_from(pause.as_millis()).unwrap_or(i64::MAX))
        .execute(pool)
        .await
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::session::Session;
    use crate::rollup::status::{self, Verification};
    use crate::rollup::{fold, repair};
    use crate::testing::{self, TestDatabase};
    use sqlx::Executor;
    use std::sync::Mutex;

    /// Keeps what it is told: keys and keys that differ.
    #[derive(Default)]
    struct Heard(Mutex<Vec<(i64, i64)>>);

    impl Observer for Heard {
        fn verified(&self, keys: i64, drifted_keys: i64, _: Duration) {
            self.0.lock().unwrap().push((keys, drifted_keys));
        }

        fn could_not_verify(&self) {}
    }

    /// Usage of so many days, each of a slice's rows: a slice is a day.
    async fn world(days: i64) -> TestDatabase {
        let db = testing::database().await;
        db.pool.execute(include_str!("../testing/one_task.sql")).await.unwrap();
        db.pool.execute("delete from public.task_usage").await.unwrap();
        sqlx::query(
            "insert into public.task_usage (task_id, provider, model, event_key, created_at)
             select t.id, 'p', 'm', d || ' ' || n, timestamptz '2026-02-01' + d * interval '1 day'
             from public.agent_task_queue t, generate_series(0, $1 - 1) d, generate_series(1, 3) n",
        )
        .bind(days)
        .execute(&db.pool)
        .await
        .unwrap();
        fold::drain(&db.pool).await.unwrap();
        db
    }

    async fn state(db: &TestDatabase) -> Verification {
        status::verification(&mut Session::from(&mut db.connect().await)).await.unwrap()
    }

    /// Lets the pause pass.
    async fn be_due(db: &TestDatabase) {
        db.pool.execute("update tallybook.verify_state set due_at = '-infinity'").await.unwrap();
    }

    /// Takes the next turn, whose slice has about two rows, and gives what was compared.
    async fn turn(db: &TestDatabase, heard: &Heard) -> DayRange {
        be_due(db).await;
        let turn = claim(&db.pool, 2).await.unwrap().unwrap();
        compare(&db.pool, turn, heard).await.unwrap();
        turn.slice
    }

    fn days(first: Option<i8>, last: Option<i8>) -> DayRange {
        let day = |day| jiff::civil::date(2026, 2, day);
        DayRange::between(first.map(day), last.map(day))
    }

    #[tokio::test]
    async fn the_newest_days_and_history_take_turns_until_all_is_compared() {
        let db = world(4).await;
        let heard = Heard::default();
        assert_eq!(state(&db).await.coverage.to_string(), "0");
        let newest = days(Some(4), None);
        assert_eq!(turn(&db, &heard).await, newest);
        let begun = state(&db).await;
        assert_eq!((begun.checked_since, begun.reached, begun.coverage.to_string()), (None, newest.since, "0.25".to_owned()));
        assert_eq!(turn(&db, &heard).await, days(Some(3), Some(3)));
        assert_eq!(turn(&db, &heard).await, newest, "the newest days come more often");
        assert_eq!(turn(&db, &heard).await, days(Some(2), Some(2)));
        assert_eq!(turn(&db, &heard).await, newest);
        assert_eq!(turn(&db, &heard).await, days(Some(1), Some(1)));
        assert_eq!(state(&db).await.checked_since, None);
        assert_eq!(turn(&db, &heard).await, newest);
        assert_eq!(turn(&db, &heard).await, DayRange { since: None, until: days(Some(1), None).since });
        let done = state(&db).await;
        assert!(done.checked_since.is_some() && done.reached.is_none() && done.oldest_check_seconds.is_some());
        assert_eq!(done.coverage.to_string(), "1");
        assert_eq!(turn(&db, &heard).await, newest, "a new round");
        assert_eq!(state(&db).await.checked_since, done.checked_since, "the last round's word holds until this one ends");
    }

    #[test]
    fn comparing_takes_a_small_share_of_the_time() {
        assert_eq!(rest(Duration::from_millis(1)), PAUSE_MIN);
        assert_eq!(rest(Duration::from_secs(2)), Duration::from_secs(100));
        assert_eq!(rest(Duration::from_hours(1)), PAUSE_MAX);
    }

    #[tokio::test]
    async fn a_slice_is_taken_by_one_instance_alone() {
        let db = world(3).await;
        let claims = futures_util::future::join_all((0..8).map(|_| claim(&db.pool, 2))).await;
        assert_eq!(claims.into_iter().filter_map(Result::unwrap).count(), 1);
        assert!(!step(&db.pool, &Heard::default()).await.unwrap(), "nothing is due");
        db.pool.execute("update tallybook.verify_state set due_at = now() + interval '1 year'").await.unwrap();
        assert!(step(&db.pool, &Heard::default()).await.unwrap(), "a clock that was wrong stops nobody");
    }

    #[tokio::test]
    async fn who_was_overtaken_moves_nothing() {
        let db = world(4).await;
        let heard = Heard::default();
        turn(&db, &heard).await;
        be_due(&db).await;
        let slow = claim(&db.pool, 2).await.unwrap().unwrap();
        assert_eq!(slow.slice, days(Some(3), Some(3)));
        for _ in 0..3 {
            turn(&db, &heard).await;
        }
        let reached = state(&db).await.reached;
        compare(&db.pool, slow, &heard).await.unwrap();
        assert_eq!(state(&db).await.reached, reached);
        assert_eq!(reached, days(Some(2), None).since);
    }

    #[tokio::test]
    async fn drift_is_kept_until_it_is_mended_and_mended_by_nobody_here() {
        let db = world(3).await;
        db.pool
            .execute("update tallybook.task_usage_daily set input_tokens = 1 where bucket_date <= '2026-02-02'")
            .await
            .unwrap();
        let heard = Heard::default();
        while state(&db).await.checked_since.is_none() {
            turn(&db, &heard).await;
        }
        let drifted_turns = heard.0.lock().unwrap().iter().filter(|(_, drifted)| *drifted > 0).count();
        assert_eq!(drifted_turns, 2);
        let told = heard.0.lock().unwrap().iter().fold((0, 0), |sum, turn| (sum.0.max(turn.0), sum.1 + turn.1));
        assert_eq!(told, (2, 2), "a day has one key in each rollup, and those that differ are counted once");
        let known = state(&db).await.drift;
        assert_eq!(known.len(), 1);
        assert_eq!((known[0].rollup.as_str(), known[0].keys, known[0].days), ("task_usage_daily", 2, 2));
        assert!(!verify::verify(&db.pool).await.unwrap().exact());

        // One day is mended by hand, and found so when it is looked at; the rest by a repair, which says so at once.
        db.pool.execute("update tallybook.task_usage_daily set input_tokens = 0 where bucket_date = '2026-02-02'").await.unwrap();
        while turn(&db, &heard).await != days(Some(2), Some(2)) {}
        let left = state(&db).await.drift;
        assert_eq!((left[0].keys, left[0].days), (1, 1));
        assert!(repair::repair(&db.pool).await.unwrap().after.exact());
        assert_eq!(state(&db).await.drift, []);
    }

    #[tokio::test]
    async fn drift_is_new_once() {
        let db = world(1).await;
        let slice = DayRange::ALL;
        let drifted = [verify::DriftedDay { day: jiff::civil::date(2026, 2, 1), keys: 3 }];
        assert_eq!(drift::record(&db.pool, "task_usage_daily", slice, &drifted).await.unwrap(), drifted);
        assert_eq!(drift::record(&db.pool, "task_usage_daily", slice, &drifted).await.unwrap(), []);
        assert_eq!(drift::record(&db.pool, "dropped_meanwhile", slice, &drifted).await.unwrap(), []);
        assert_eq!(drift::record(&db.pool, "task_usage_daily", days(Some(2), None), &[]).await.unwrap(), []);
        assert_eq!(state(&db).await.drift[0].keys, 3, "another slice says nothing of this day");
        db.pool.execute("select tallybook.drop_rollup('task_usage_daily')").await.unwrap();
        assert_eq!(state(&db).await.drift, []);
    }

    #[tokio::test]
    async fn a_slice_that_cannot_be_compared_is_due_again_at_once() {
        let db = world(1).await;
        db.pool.execute("alter view tallybook.task_usage_daily_now rename to away").await.unwrap();
        assert!(step(&db.pool, &Heard::default()).await.is_err());
        db.pool.execute("alter view tallybook.away rename to task_usage_daily_now").await.unwrap();
        assert!(step(&db.pool, &Heard::default()).await.unwrap());
    }
}
