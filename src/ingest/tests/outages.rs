//! A database that goes away, and comes back.
use super::*;
use crate::ingest::Error;
use sqlx::postgres::PgPoolOptions;
use std::time::Duration;

/// Ends every other session on the bench's database.
const CUT: &str = "select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()";

#[tokio::test]
async fn c01_a_cut_connection_stores_all_or_nothing_and_a_retry_succeeds() {
    let bench = Bench::new().await;
    let task = bench.task().await;
    let mut operator = bench.database.connect().await;
    let mut acknowledged = 0;
    for round in 0..30_i64 {
        let batch = || (0..50).map(|n| report(task, 1).keyed(&format!("{round} {n}"))).collect::<Vec<_>>();
        let (answer, cut) = tokio::join!(bench.submit(batch()), sqlx::query(CUT).execute(&mut operator));
        cut.unwrap();
        match answer {
            Ok(_) => acknowledged += 1,
            Err(error) => {
                assert!(error.is_retryable(), "{error:?}");
                let stored: i64 =
                    sqlx::query_scalar("select count(*) from public.task_usage").fetch_one(&mut operator).await.unwrap();
                assert!(stored % 50 == 0, "half a batch is stored");
                while bench.submit(batch()).await.is_err() {}
            }
        }
        let stored: i64 = sqlx::query_scalar("select count(*) from public.task_usage").fetch_one(&mut operator).await.unwrap();
        assert_eq!(stored, (round + 1) * 50, "nothing that was acknowledged is lost, nothing is counted twice");
    }
    assert!(acknowledged <= 30);
}

#[tokio::test]
async fn a_database_that_is_away_is_reported_as_such_and_waited_for() {
    let database = database().await;
    let workspace = new_workspace(&database.pool).await;
    let impatient = || PgPoolOptions::new().max_connections(1).acquire_timeout(Duration::from_secs(3));
    let pool = impatient().connect_lazy_with(database.options());
    let tracker = TaskTracker::new();
    let ingest = Ingest::start(pool.clone().into(), Clock::system(), &tracker, Limits::default());
    let held = pool.acquire().await.unwrap();
    let placed = || vec![report(Uuid::from_u128(9), 1).at_agent("ada")];
    let answer = ingest.submit(&bound_to(Some(workspace)), placed()).await;
    assert!(matches!(&answer, Err(error @ Error::Database(_)) if error.is_retryable()), "{answer:?}");
    drop(held);
    assert_eq!(ingest.submit(&bound_to(Some(workspace)), placed()).await.unwrap(), [Outcome::Created]);
}
