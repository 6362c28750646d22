//! A history to work on: 180 days of 100 runtimes, two rows of usage a task, and nothing pending.
use sqlx::Executor;
use tallybook::testing::{self, TestDatabase};

/// The runtime whose usage is read: it has a hundredth of the rows.
pub(crate) const RUNTIME: &str = "00000000-0000-4000-8002-000000000007";

/// A database with so many raw rows, none of them covered by a rollup yet.
pub(crate) async fn history(rows: i64) -> TestDatabase {
    let db = testing::database().await;
    db.pool.execute(include_str!("fleet.sql")).await.unwrap();
    sqlx::query("select tallybook.fold(1, 50000)").execute(&db.pool).await.unwrap();
    // history from before Tallybook: capture has not seen it
    db.pool
        .execute("alter table agent_task_queue disable trigger user; alter table task_usage disable trigger user")
        .await
        .unwrap();
    sqlx::query(include_str!("tasks.sql")).bind(rows / 2).execute(&db.pool).await.unwrap();
    sqlx::query(include_str!("usage.sql")).bind(rows / 2).execute(&db.pool).await.unwrap();
    db.pool
        .execute("alter table agent_task_queue enable trigger user; alter table task_usage enable trigger user")
        .await
        .unwrap();
    db.pool.execute(include_str!("redeclare.sql")).await.unwrap();
    db.pool.execute("vacuum analyze").await.unwrap();
    db
}
