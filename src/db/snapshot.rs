//! Reading several things that belong together.
use super::error::{Cause, cause};
use super::pool::PgPool;
use super::session::Transaction;

/// How often a question is asked that loses against a change of the schema.
const ATTEMPTS_MAX: usize = 3;

/// A transaction whose statements all see one snapshot, taken by the first of them; it can change nothing.
pub(crate) type Snapshot = Transaction;

/// Asks in a snapshot of its own. One that turns out to be older than a table or a view that it needs is given up for a new one.
#[tracing::instrument(
    target = "tallybook::trace", level = "trace", name = "transaction", skip_all, err(level = "trace"),
    fields(otel.name = "snapshot", otel.kind = "client", db.system.name = "postgresql")
)]
pub(crate) async fn in_snapshot<T, F>(pool: &PgPool, ask: impl Fn(Snapshot) -> F) -> Result<T, sqlx::Error>
where
    F: Future<Output = Result<T, sqlx::Error>>,
{
    let mut attempts = 1;
    loop {
        let snapshot = pool.begin_with("begin isolation level repeatable read read only").await?;
        match ask(snapshot).await {
            Err(error) if cause(&error) == Cause::Conflict && attempts < ATTEMPTS_MAX => attempts += 1,
            answer => return answer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use sqlx::Executor;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    #[tokio::test]
    async fn what_loses_is_asked_again_in_a_new_snapshot_and_not_for_ever() {
        let db = testing::database().await;
        for (losses, answered) in [(ATTEMPTS_MAX - 1, true), (ATTEMPTS_MAX, false)] {
            let asked = AtomicUsize::new(0);
            let answer = in_snapshot(&db.pool, |mut snapshot| {
                let too_old = asked.fetch_add(1, Ordering::Relaxed) < losses;
                async move {
                    if too_old {
                        snapshot.execute("do $$ begin raise exception using errcode = 'serialization_failure'; end $$").await?;
                    }
                    sqlx::query_scalar::<_, String>("show transaction_isolation").fetch_one(&mut *snapshot).await
                }
            });
            assert_eq!(answer.await.ok().as_deref(), answered.then_some("repeatable read"));
            assert_eq!(asked.into_inner(), ATTEMPTS_MAX);
        }
    }

    #[tokio::test]
    async fn the_server_ends_what_nobody_waits_for() {
        let db = testing::database().await;
        let impatient = db.pool.with_statement_timeout(Duration::from_millis(20));
        let asked = in_snapshot(&impatient, |mut snapshot| async move { snapshot.execute("select pg_sleep(600)").await });
        assert_eq!(cause(&asked.await.unwrap_err()), Cause::Timeout);
        let limit: String = sqlx::query_scalar("show statement_timeout").fetch_one(&db.pool).await.unwrap();
        assert_eq!(limit, "0", "who shares its connections does not share its impatience");
    }
}
