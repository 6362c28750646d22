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

    #[test]
    fn a_slow_step_is_rested_from_and_never_for_long() {
        assert_eq!(rest(0, Duration::from_millis(1)), PAUSE_IDLE);
        assert_eq!(rest(7, Duration::from_millis(1)), PAUSE_BUSY);
        assert_eq!(rest(7, Duration::from_secs(1)), Duration::from_secs(4));
        assert_eq!(rest(7, Duration::from_mins(1)), REST_MAX);
        assert_eq!(rest(0, Duration::from_mins(1)), REST_MAX);
    }
}
