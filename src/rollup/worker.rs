//! The fold loop of a service: keeps what is pending small, so that reads stay fast, and covers history that is not covered yet.
//!
//! Exactness never depends on it. Any number of instances may run beside each other and beside other schedulers: whoever comes
//! second leaves at once. A database that goes away is waited for.
use super::{backfill, fold};
use sqlx::PgPool;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

/// Pause after a tick that found nothing to do.
const PAUSE_IDLE: Duration = Duration::from_secs(1);
/// Pause after a tick that folded: short, so that what is pending stays small while reports come in.
const PAUSE_BUSY: Duration = Duration::from_millis(250);
/// Longest pause after ticks that failed.
const PAUSE_FAILED_MAX: Duration = Duration::from_secs(15);
/// Share of the time that ticks may take: a slow fold (say, beside an old snapshot) makes the loop fold less often.
const DUTY_DIVISOR: u32 = 4;
/// Raw rows that a slice of automatic backfill reads.
const SLICE_ROWS: i64 = 50_000;

/// What the loop tells of each tick.
pub trait Observer: Send + Sync {
    /// A tick that touched `rows` rollup rows.
    fn folded(&self, rows: i64, duration: Duration);
    /// A tick that failed.
    fn failed(&self);
}

/// Folds until `cancel` is called.
pub async fn run(pool: PgPool, cancel: CancellationToken, observer: impl Observer) {
    let mut failures = 0_u32;
    let mut covered = false;
    loop {
        let began = Instant::now();
        let pause = match step(&pool, &mut covered).await {
            Ok(rows) => {
                if failures > 0 {
                    info!(fold.failures = failures, "folding again");
                    failures = 0;
                }
                observer.folded(rows, began.elapsed());
                (if rows > 0 { PAUSE_BUSY } else { PAUSE_IDLE }).max(began.elapsed() * DUTY_DIVISOR)
            }
            Err(error) => {
                failures = failures.saturating_add(1);
                observer.failed();
                report(&pool, &error, failures).await;
                (PAUSE_IDLE * failures).min(PAUSE_FAILED_MAX)
            }
        };
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// One tick and, as long as history is not wholly covered, one slice of backfill.
async fn step(pool: &PgPool, covered: &mut bool) -> Result<i64, sqlx::Error> {
    let mut rows = fold::tick(pool).await?;
    if !*covered {
        if let Some(slice) = backfill::slice(pool, SLICE_ROWS).await? {
            rows += slice.rows_written;
        } else {
            backfill::settle(pool).await?;
            *covered = true;
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
