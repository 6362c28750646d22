//! One test for each way in which systems that roll up usage have lost or doubled some of it. The number is the defect's in our
//! list; the name says what is not lost here. What needs HTTP, time zones of readers or prices is tested where that lives.
mod commits;
mod cost;
mod databases;
mod hostile;
mod hosts;
mod keys;
mod moves;
mod restore;
mod snapshots;
mod statements;
mod ticks;

use crate::races::world::{self, Capture};
use sqlx::{AssertSqlSafe, Executor, PgConnection};
use tallybook::testing::TestDatabase;

const FOLD: &str = "select tallybook.fold(25, 50000)";

/// The world, folded, and a connection to it.
async fn folded_world(capture: Capture) -> (TestDatabase, PgConnection) {
    let db = world::database(capture).await;
    let mut conn = db.connect().await;
    conn.execute("set lock_timeout = '10s'; set statement_timeout = '60s'").await.unwrap();
    conn.execute(FOLD).await.unwrap();
    (db, conn)
}

async fn run(conn: &mut PgConnection, sql: &str) {
    conn.execute(AssertSqlSafe(sql.to_owned())).await.unwrap_or_else(|error| panic!("{error}: {sql}"));
}

/// The value that a query gives, as text.
async fn text(conn: &mut PgConnection, sql: &str) -> String {
    sqlx::query_scalar(AssertSqlSafe(format!("select ({sql})::text")))
        .fetch_one(conn)
        .await
        .unwrap_or_else(|error| panic!("{error}: {sql}"))
}

/// Asserts that the rollups themselves, once folded, hold a row for each key of raw usage and no other.
async fn assert_no_ghosts(conn: &mut PgConnection, after: &str) {
    world::fold_exactly(conn, after).await;
    let rows: (i64, i64, i64, i64) = sqlx::query_as(
        "select (select count(*) from tallybook.task_usage_daily), (select count(*) from tallybook.task_usage_daily_now),
           (select count(*) from tallybook.task_usage_quarter_hour), (select count(*) from tallybook.task_usage_quarter_hour_now)",
    )
    .fetch_one(conn)
    .await
    .unwrap();
    assert_eq!((rows.0, rows.2), (rows.1, rows.3), "rows in the rollups, and keys shown, after {after}");
}
