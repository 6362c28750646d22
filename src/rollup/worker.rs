//! The fold loop of a service: keeps what is pending small, so that reads stay fast, and covers history that is not covered yet.
//!
//! Exactness never depends on it. Any number of instances may run beside each other and beside other schedulers: whoever comes
//! second leaves at once. A database that goes away is waited for.
use super::backfill::Background;
use super::backoff::Backoff;
use super::fold::{self, Tick};
use crate::db::pool::PgPool;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

/// Pause after a tick that found nothing to do.
const PAUSE_IDLE: Duration = Duration::from_secs(1);
/// Pause after a tick that folded: short, so that what is pending stays small while reports come in.
const PAUSE_BUSY: Duration = Duration::from_millis(250);
/// Longest pause after ticks that failed.
const PAUSE_FAILED_MAX: Duration = Duration::from_secs(15);
/// How much longer than a tick the loop rests after it: a slow fold (say, beside an old snapshot) makes it fold less often.
const REST_FACTOR: u32 = 4;
/// But no longer than this: while reports come in, a long rest makes the next tick still longer.
const REST_MAX: Duration = Duration::from_secs(5);
/// Raw rows that a slice of automatic backfill reads: few, so that ticks come in between.
const SLICE_ROWS: i64 = 50_000;

/// What the loop tells of each tick.
pub trait Observer: Send + Sync {
    /// A tick that touched `rows` rollup rows.
    fn folded(&self, rows: i64, duration: Duration);
    /// A tick that somebody else was in the way of.
    fn contended(&self);
    /// A slice of history was covered with `rows` rollup rows.
    fn covered(&self, rows: i64, duration: Duration);
    /// A tick, or a slice, that failed.
    fn failed(&self);
}

/// Folds, and covers history where `backfills` says so, until `cancel` is called.
pub async fn run(pool: PgPool, cancel: CancellationToken, observer: impl Observer, backfills: bool) {
    let mut backoff = Backoff::new(PAUSE_IDLE, PAUSE_FAILED_MAX);
    let mut background = backfills.then(Background::default);
    loop {
        let began = Instant::now();
        let pause = match step(&pool, background.as_mut(), &observer).await {
            Ok(rows) => {
                if let Some(failures) = backoff.ended() {
                    info!(fold.failures = failures, "folding again");
                }
                rest(rows, began.elapsed())
            }
            Err(error) => {
                let (failures, pause) = backoff.failed();
                observer.failed();
                report(&pool, &error, failures).await;
                pause
            }
        };
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// How long the loop rests after a step that took so long and touched so many rows.
fn rest(rows: i64, step: Duration) -> Duration {
    (if rows > 0 { PAUSE_BUSY } else { PAUSE_IDLE }).max((step * REST_FACTOR).min(REST_MAX))
}

/// One tick and, where history is not wholly covered and nobody else covers it, one slice of backfill.
async fn step(pool: &PgPool, background: Option<&mut Background>, observer: &impl Observer) -> Result<i64, sqlx::Error> {
    let began = Instant::now();
    let mut rows = 0;
    match fold::attempt(pool).await? {
        Tick::Folded(folded) => {
            rows = folded;
            observer.folded(folded, began.elapsed());
        }
        Tick::Contended => observer.contended(),
    }
    if let Some(background) = background {
        let began = Instant::now();
        if let Some(slice) = background.step(pool, SLICE_ROWS).await? {
            rows += slice.rows_written;
            observer.covered(slice.rows_written, began.elapsed());
        }
    }
    Ok(rows)
}

/// Logs the failure and leaves it in the database for whoever looks there.
async fn report(pool: &PgPool, failure: &sqlx::Error, failures: u32) {
    if failures == 1 {
        error!(error = %failure, "could not fold; trying again");
    }
    if let Err(error) = sqlx::query("select tallybook.record_fold_error($1)").bind(failure.to_string()).execute(pool).await
        && failures == 1
    {
        warn!(%error, "could not record the failure");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, TestDatabase};
    use sqlx::Executor;
    use std::sync::{Arc, Mutex};

    /// Adds up what it is told: rows that were folded, rows of history, failures.
    #[derive(Clone, Default)]
    struct Heard(Arc<Mutex<(i64, i64, u32)>>);

    impl Heard {
        fn so_far(&self) -> (i64, i64, u32) {
            *self.0.lock().unwrap()
        }
    }

    impl Observer for Heard {
        fn folded(&self, rows: i64, _: Duration) {
            self.0.lock().unwrap().0 += rows;
        }

        fn contended(&self) {}

        fn covered(&self, rows: i64, _: Duration) {
            self.0.lock().unwrap().1 += rows;
        }

        fn failed(&self) {
            self.0.lock().unwrap().2 += 1;
        }
    }

    /// One row of usage that is folded, and another time of it that is pending.
    async fn world() -> TestDatabase {
        let db = testing::database().await;
        db.pool.execute(include_str!("../testing/one_task.sql")).await.unwrap();
        fold::drain(&db.pool).await.unwrap();
        db.pool.execute("update public.task_usage set created_at = created_at + interval '1 day'").await.unwrap();
        db
    }

    #[tokio::test]
    async fn a_step_folds_and_covers_history_and_counts_both() {
        let db = world().await;
        let (heard, mut background) = (Heard::default(), Background::default());
        // Two rollups have a row less, and a row more.
        assert_eq!(step(&db.pool, Some(&mut background), &heard).await.unwrap(), 4);
        assert_eq!(heard.so_far(), (4, 0, 0));
        db.pool.execute("select tallybook.uncover()").await.unwrap();
        db.pool.execute("update public.task_usage set input_tokens = 11").await.unwrap();
        assert_eq!(step(&db.pool, None, &heard).await.unwrap(), 0, "no day is covered");
        assert_eq!(step(&db.pool, Some(&mut background), &heard).await.unwrap(), 2);
        assert_eq!(heard.so_far(), (4, 2, 0));
    }

    #[tokio::test]
    async fn the_loop_goes_on_after_failures_and_leaves_what_they_said() {
        let db = world().await;
        db.pool.execute("alter table public.agent disable trigger tallybook_update").await.unwrap();
        let (heard, cancel) = (Heard::default(), CancellationToken::new());
        let mended_when_failed = async {
            while heard.so_far().2 == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let last_error = "select last_error from tallybook.fold_state";
            while sqlx::query_scalar::<_, Option<String>>(last_error).fetch_one(&db.pool).await.unwrap().is_none() {}
            let said: String = sqlx::query_scalar(last_error).fetch_one(&db.pool).await.unwrap();
            assert!(said.contains("trigger tallybook_update on public.agent is disabled"), "{said}");
            db.pool.execute("alter table public.agent enable trigger tallybook_update").await.unwrap();
            while heard.so_far().0 == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            cancel.cancel();
        };
        tokio::join!(run(db.pool.clone(), cancel.clone(), heard.clone(), false), mended_when_failed);
        assert_eq!(heard.so_far().0, 4);
    }

    #[test]
    fn a_slow_step_is_rested_from_and_never_for_long() {
        assert_eq!(rest(0, Duration::from_millis(1)), PAUSE_IDLE);
        assert_eq!(rest(7, Duration::from_millis(1)), PAUSE_BUSY);
        assert_eq!(rest(7, Duration::from_secs(1)), Duration::from_secs(4));
        assert_eq!(rest(7, Duration::from_mins(1)), REST_MAX);
        assert_eq!(rest(0, Duration::from_mins(1)), REST_MAX);
    }
}
