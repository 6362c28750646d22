//! What capture costs writers: single-row upserts and batches, with and without it.
use crate::{in_turns, report};
use sqlx::{Executor, PgPool};
use tallybook::testing::{self, TestDatabase};

const WRITERS: i64 = 8;
const UPSERTS_PER_WRITER: i64 = 400;
const TASKS: i64 = 20_000;
const BATCHES: i64 = 12;
const BATCH_ROWS: i64 = 1_000;

pub(crate) async fn run() {
    let captured = fleet("row").await;
    let bare = fleet("none").await;
    let ratio = in_turns(async || single_rows(&bare.pool).await, async || single_rows(&captured.pool).await).await;
    report("speed kept by single-row upserts of 8 writers, captured by row", ratio, "at least 0.75");
    captured.pool.execute("select tallybook.capture_usage_by('statement')").await.unwrap();
    let ratio = in_turns(async || batches(&bare.pool).await, async || batches(&captured.pool).await).await;
    report("speed kept by batches of 1,000 rows, captured by statement", ratio, "at least 0.70");
}

async fn fleet(capture: &str) -> TestDatabase {
    let db = testing::database().await;
    db.pool.execute(include_str!("fleet.sql")).await.unwrap();
    sqlx::query(include_str!("tasks.sql")).bind(TASKS).execute(&db.pool).await.unwrap();
    if capture == "none" {
        db.pool.execute("alter table task_usage disable trigger user").await.unwrap();
    } else {
        sqlx::query("select tallybook.capture_usage_by($1)").bind(capture).execute(&db.pool).await.unwrap();
    }
    db
}

/// Each writer upserts rows of its own tasks, one a transaction; every round corrects what the last one wrote.
async fn single_rows(pool: &PgPool) {
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let pool = pool.clone();
        writers.spawn(async move {
            let mut conn = pool.acquire().await.unwrap();
            for n in 0..UPSERTS_PER_WRITER {
                sqlx::query(include_str!("upsert.sql"))
                    .bind(1 + (n * WRITERS + writer) % TASKS)
                    .execute(&mut *conn)
                    .await
                    .unwrap();
            }
        });
    }
    writers.join_all().await;
    clear(pool).await;
}

async fn batches(pool: &PgPool) {
    for batch in 0..BATCHES {
        sqlx::query(include_str!("upsert_batch.sql"))
            .bind(1 + batch * BATCH_ROWS)
            .bind((batch + 1) * BATCH_ROWS)
            .execute(pool)
            .await
            .unwrap();
    }
    clear(pool).await;
}

/// Folding is paused: what was captured is thrown away, so that each round finds the same queue.
async fn clear(pool: &PgPool) {
    pool.execute("truncate tallybook.usage_change").await.unwrap();
}
