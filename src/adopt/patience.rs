//! How a host's table is locked: for a moment, and by giving way.
//!
//! A statement that waits for a strong lock has every later writer queue behind it. So each waits for a short time only, lets the queue pass,
//! and tries again: an unrelated long transaction delays us, and nobody else.
use super::Error;
use crate::db::error::sqlstate;
use rand::RngExt;
use sqlx::{AssertSqlSafe, Executor, PgConnection};
use std::time::{Duration, Instant};

/// The pause after the first attempt that was in vain, at most; each further one may take twice as long.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// A statement may take so many times the lock's time: on a table with partitions it waits for each of them.
const STATEMENT_FACTOR: u32 = 5;
/// The SQLSTATEs of what may go better the next time: no lock, out of time, deadlock.
const GIVING_WAY: [&str; 3] = ["55P03", "57014", "40P01"];

/// How long to wait for locks.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// How long one attempt may wait, and so how long a writer may wait behind it: on a table with partitions, up to five times as long.
    pub lock_timeout: Duration,
    /// How long to go on trying.
    pub lock_wait: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { lock_timeout: Duration::from_millis(200), lock_wait: Duration::from_mins(10) }
    }
}

impl Patience {
    /// Runs SQL that locks `table`, in a transaction of its own, until it succeeds.
    pub(super) async fn run(
        self,
        on: &mut PgConnection,
        table: &str,
        sql: &str,
        tell: &mut impl FnMut(String),
    ) -> Result<(), Error> {
        let began = Instant::now();
        let mut pause = PAUSE_MIN;
        let mut told = String::new();
        let limits = format!(
            "set local lock_timeout = {}; set local statement_timeout = {}",
            self.lock_timeout.as_millis(),
            (self.lock_timeout * STATEMENT_FACTOR).as_millis()
        );
        let attempt = format!("begin; {limits}; {sql}; commit");
        loop {
            let Err(error) = on.execute(sqlx::raw_sql(AssertSqlSafe(attempt.clone()))).await else { return Ok(()) };
            if !sqlstate(&error).is_some_and(|code| GIVING_WAY.contains(&&*code)) {
                return Err(error.into());
            }
            on.execute("rollback").await?;
            let holder = holder(on, table).await?;
            if began.elapsed() >= self.lock_wait {
                return Err(Error::Locked { table: table.to_owned(), waited: began.elapsed(), holder });
            }
            if told != holder {
                tell(format!("waiting for {table}: {holder}"));
                told = holder;
            }
            let rest = rand::rng().random_range(Duration::ZERO..pause);
            tokio::time::sleep(rest).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}

/// Who has the table, or a partition of it, in the way that stands in ours, longest of all.
async fn holder(on: &mut PgConnection, table: &str) -> Result<String, sqlx::Error> {
    let found: Option<String> = sqlx::query_scalar(include_str!("holder.sql")).bind(table).fetch_optional(on).await?;
    Ok(found.unwrap_or_else(|| "which others lock all the time".to_owned()))
}
