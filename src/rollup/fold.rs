//! Folding: what is pending goes into the rollups, and the change rows that it was computed from go away.
//!
//! One tick is one call of `tallybook.rollup_task_usage_daily()`: bounded, atomic, and harmless to run anywhere at any time.
use crate::db::pool::PgPool;
use jiff_sqlx::Timestamp;

/// What came of one tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tick {
    /// It folded all that it found, if anything: so many rollup rows were touched.
    Folded(i64),
    /// Somebody else was writing rollups.
    Contended,
}

/// Folds once and says whether it came to it.
///
/// READ COMMITTED. The fold lock is tried in a statement of its own, so that it is had when the tick, in the same transaction, tries it.
#[tracing::instrument(
    target = "tallybook::trace", level = "trace", name = "transaction", skip_all, err(level = "trace"),
    fields(otel.name = "fold", otel.kind = "client", db.system.name = "postgresql")
)]
pub async fn attempt(pool: &PgPool) -> Result<Tick, sqlx::Error> {
    let mut transaction = pool.begin_with("begin isolation level read committed").await?;
    let mine = "select pg_try_advisory_xact_lock(tallybook.fold_lock_key())";
    if !sqlx::query_scalar(mine).fetch_one(&mut *transaction).await? {
        return Ok(Tick::Contended);
    }
    let rows = sqlx::query_scalar("select tallybook.rollup_task_usage_daily()").fetch_one(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(Tick::Folded(rows))
}

/// Folds once and returns how many rollup rows it touched; 0 when nothing was pending or another fold is at work.
pub async fn tick(pool: &PgPool) -> Result<i64, sqlx::Error> {
    Ok(match attempt(pool).await? {
        Tick::Folded(rows) => rows,
        Tick::Contended => 0,
    })
}

/// Folds until nothing is pending that was pending when it began; while reports come in, something always is.
pub async fn drain(pool: &PgPool) -> Result<i64, sqlx::Error> {
    let began: Timestamp = sqlx::query_scalar("select clock_timestamp()").fetch_one(pool).await?;
    let mut rows = 0;
    loop {
        rows += tick(pool).await?;
        let is_left = "select coalesce(oldest <= $1, false) from tallybook.backlog()";
        if !sqlx::query_scalar::<_, bool>(is_left).bind(began).fetch_one(pool).await? {
            return Ok(rows);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use sqlx::Executor;
    use std::time::Duration;

    #[tokio::test]
    async fn who_comes_second_says_so_and_leaves() {
        let db = testing::database().await;
        db.pool.execute(include_str!("../testing/one_task.sql")).await.unwrap();
        let mut first = db.pool.begin().await.unwrap();
        first.execute("select tallybook.rollup_task_usage_daily()").await.unwrap();
        assert_eq!(attempt(&db.pool).await.unwrap(), Tick::Contended);
        first.rollback().await.unwrap();
        assert_eq!(attempt(&db.pool).await.unwrap(), Tick::Folded(2));
        assert_eq!(attempt(&db.pool).await.unwrap(), Tick::Folded(0));
    }

    #[tokio::test]
    async fn a_drain_ends_although_every_fold_finds_something_new() {
        let db = testing::database().await;
        db.pool.execute(include_str!("../testing/one_task.sql")).await.unwrap();
        // What comes in during each fold.
        let report = "create function public.report() returns trigger language plpgsql as $$ begin
                update public.task_usage set input_tokens = input_tokens + 1; return null; end $$;
            create trigger report after update on tallybook.fold_state for each row execute function public.report()";
        db.pool.execute(report).await.unwrap();
        let drained = tokio::time::timeout(Duration::from_secs(20), drain(&db.pool)).await;
        assert!(drained.expect("it ends").unwrap() > 0);
        let pending: bool = sqlx::query_scalar("select tallybook.is_pending()").fetch_one(&db.pool).await.unwrap();
        assert!(pending);
    }
}
