//! Whether the server takes connections at all.
//!
//! Where nobody listens a pool waits until its time is up, since a server may be about to start. Who has a client waiting
//! does not want that: it asks here meanwhile, and gives up as soon as the server is seen to refuse.
//!
//! Invariant: however many ask, at most one connection in [`FRESH_FOR`] is tried; a crowd that only waits for its turn in the
//! pool costs the server next to nothing.
use super::error::{Cause, cause};
use super::pool::{ACQUIRE_TIMEOUT, PgPool};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};

/// How long work may take before we look: nearly all of it is done sooner.
const UNASKED: Duration = Duration::from_millis(250);
/// How long what was seen counts.
const FRESH_FOR: Duration = Duration::from_secs(1);
/// How long the server may take to let us in: as long as the pool itself would wait.
const CONNECT_TIMEOUT: Duration = ACQUIRE_TIMEOUT;

/// Tells whether the server of a pool takes connections. Clones share what they see.
#[derive(Clone, Debug)]
pub struct Presence {
    pool: PgPool,
    seen: Arc<Mutex<Option<Seen>>>,
}

/// What was seen, and when.
#[derive(Clone, Copy, Debug)]
struct Seen {
    at: Instant,
    listens: bool,
}

impl Presence {
    /// Of the server of `pool`.
    pub fn of(pool: &PgPool) -> Self {
        Self { pool: pool.clone(), seen: Arc::default() }
    }

    /// Does `work`, which needs a connection of the pool; gives it up once the server is seen to take none.
    pub async fn while_there<T>(&self, work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
        tokio::select! {
            biased;
            done = work => done,
            () = self.gone() => Err(io::Error::from(io::ErrorKind::ConnectionRefused).into()),
        }
    }

    /// Returns when the server is seen to take no connections.
    async fn gone(&self) {
        loop {
            sleep(UNASKED).await;
            let mut seen = self.seen.lock().await;
            let now = match *seen {
                Some(last) if last.at.elapsed() < FRESH_FOR => last,
                _ => Seen { listens: self.listens().await, at: Instant::now() },
            };
            *seen = Some(now);
            if !now.listens {
                return;
            }
        }
    }

    async fn listens(&self) -> bool {
        match timeout(CONNECT_TIMEOUT, self.pool.try_connect()).await {
            Err(_) => false,
            Ok(tried) => tried.map_or_else(|error| !refuses(&error), |()| true),
        }
    }
}

/// Whether `error` says that the server takes no connection of anybody. One that has too many, or does not like ours, is there.
fn refuses(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => error.code().is_some_and(|code| code.starts_with("57")),
        error => cause(error) == Cause::Unavailable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use sqlx::postgres::PgPoolOptions;

    /// Longer than any test runs.
    const FOR_EVER: Duration = Duration::from_hours(1);

    #[tokio::test]
    async fn nobody_waits_for_a_server_that_refuses() {
        let options = testing::database().await.options();
        let directory = tempfile::tempdir().unwrap();
        let left_over = directory.path().join(format!(".s.PGSQL.{}", options.get_port()));
        drop(std::os::unix::net::UnixListener::bind(left_over).unwrap());
        for (refusing, what) in [
            (options.clone().port(1), "a port that is closed"),
            (options.clone().socket(directory.path()), "a socket that a crashed server left"),
            (options.clone().socket("/nonexistent"), "a socket that is gone"),
        ] {
            let pool = PgPool::from(PgPoolOptions::new().acquire_timeout(FOR_EVER).connect_lazy_with(refusing));
            let presence = Presence::of(&pool);
            let ask = || presence.while_there(sqlx::query("select 1").execute(&pool));
            let (one, other) = tokio::join!(ask(), ask());
            for answer in [one, other] {
                assert_eq!(cause(&answer.unwrap_err()), Cause::Unavailable, "{what}");
            }
        }
    }

    #[tokio::test]
    async fn a_server_that_is_there_is_waited_for_however_busy_the_pool_is() {
        let database = testing::database().await;
        let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(FOR_EVER).connect_lazy_with(database.options());
        let held = pool.acquire().await.unwrap();
        let pool = PgPool::from(pool);
        let presence = Presence::of(&pool);
        let work = presence.while_there(sqlx::query("select 1").execute(&pool));
        // Freed only after somebody has looked.
        let freed = async {
            while presence.seen.lock().await.is_none() {
                tokio::task::yield_now().await;
            }
            drop(held);
        };
        let (done, ()) = tokio::join!(work, freed);
        done.unwrap();
        assert!(presence.seen.lock().await.unwrap().listens);
    }
}
