//! Folding: what is pending goes into the rollups, and the change rows that it was computed from go away.
//!
//! One tick is one call of `tallybook.rollup_task_usage_daily()`: bounded, atomic, and harmless to run anywhere at any time.
use jiff_sqlx::Timestamp;
use sqlx::PgPool;

/// Folds once and returns how many rollup rows it touched; 0 when nothing was pending or another fold is at work.
pub async fn tick(pool: &PgPool) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("select tallybook.rollup_task_usage_daily()").fetch_one(pool).await
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
