//! Folding: what is pending goes into the rollups, and the change rows that it was computed from go away.
//!
//! One tick is one call of `tallybook.rollup_task_usage_daily()`: bounded, atomic, and harmless to run anywhere at any time.
use sqlx::PgPool;

/// Folds once and returns how many rollup rows it touched; 0 when nothing was pending or another fold is at work.
pub async fn tick(pool: &PgPool) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("select tallybook.rollup_task_usage_daily()").fetch_one(pool).await
}

/// Folds until nothing is pending that was pending when it began.
pub async fn drain(pool: &PgPool) -> Result<i64, sqlx::Error> {
    let mut rows = 0;
    loop {
        rows += tick(pool).await?;
        if !sqlx::query_scalar::<_, bool>("select tallybook.is_pending()").fetch_one(pool).await? {
            return Ok(rows);
        }
    }
}
