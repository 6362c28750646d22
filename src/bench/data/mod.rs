//! The history that every contender works on: usage of 180 days, made in SQL by a fixed seed, so that a size is always the same fleet.
//!
//! It is skewed as real fleets are: the busiest of 200 runtimes has an eighth of all usage, half of them share a tenth. A history is
//! made once for each size, in a database of Tallybook's own kind whose rollups cover nothing yet; contenders get copies.
use super::Error;
use super::server::{Database, Server};
use crate::db::migrate;
use sqlx::{Connection, Executor, PgConnection};

/// The runtime whose usage is read: it has about a hundredth of the rows.
pub(super) const RUNTIME: u64 = 18;
/// Rows of usage that a task has, on average.
const ROWS_PER_TASK: u64 = 2;
/// Tasks that an issue has.
const TASKS_PER_ISSUE: u64 = 20;

/// Leaves the daily rollup alone, declared over history that it does not hold yet.
pub(super) const UNCOVER_DAILY: &str = include_str!("uncover_daily.sql");
/// Declares the quarter-hour rollup beside it, over the same.
pub(super) const DECLARE_QUARTER_HOUR: &str = include_str!("declare_quarter_hour.sql");

/// Tasks of a history of so many rows: a multiple of three, so that one, two and three rows come in equal parts.
pub(super) fn tasks(rows: u64) -> u64 {
    (rows / ROWS_PER_TASK).next_multiple_of(3)
}

/// The history of so many rows, in a database to which nobody is connected.
pub(super) async fn history(server: &Server, rows: u64) -> Result<Database, Error> {
    let name = format!("history_{rows}");
    if server.has(&name).await? {
        return Ok(server.database(&name));
    }
    let database = server.create(&name).await?;
    let pool = database.pool(2);
    migrate::up(&pool).await?;
    pool.close().await;
    let mut conn = database.connect().await?;
    conn.execute(include_str!("fleet.sql")).await?;
    load(&mut conn, tasks(rows)).await?;
    conn.execute("vacuum (analyze)").await?;
    conn.execute("checkpoint").await.map(drop).or_else(unless_forbidden)?;
    conn.close().await?;
    Ok(database)
}

/// Loads without indexes, and builds them at the end.
async fn load(conn: &mut PgConnection, tasks: u64) -> Result<(), sqlx::Error> {
    let tasks = i64::try_from(tasks).unwrap_or(i64::MAX);
    // Reported up to now, to the minute; a task's last row comes some minutes after its first.
    let until: jiff_sqlx::Timestamp =
        sqlx::query_scalar("select date_trunc('minute', now()) - interval '15 minutes'").fetch_one(&mut *conn).await?;
    let issues = tasks / i64::try_from(TASKS_PER_ISSUE).unwrap_or(i64::MAX) + 1;
    sqlx::query(include_str!("issues.sql")).bind(issues).execute(&mut *conn).await?;
    sqlx::query("select tallybook.fold(1, 1000000000)").execute(&mut *conn).await?;
    conn.execute(include_str!("lighten.sql")).await?;
    conn.execute("set synchronous_commit = off; set maintenance_work_mem = '512MB'").await?;
    sqlx::query(include_str!("tasks.sql")).bind(tasks).bind(until).execute(&mut *conn).await?;
    sqlx::query(include_str!("usage.sql")).bind(tasks).bind(until).execute(&mut *conn).await?;
    conn.execute(include_str!("restore.sql")).await?;
    conn.execute(UNCOVER_DAILY).await?;
    conn.execute(DECLARE_QUARTER_HOUR).await.map(drop)
}

/// A checkpoint is for who may ask for one; elsewhere it comes by itself.
fn unless_forbidden(error: sqlx::Error) -> Result<(), sqlx::Error> {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    if code.is_some_and(|code| code == "42501") { Ok(()) } else { Err(error) }
}

/// The history of so many rows, with so many tasks for writers beside it.
pub(super) async fn arena(server: &Server, rows: u64, tasks: u64) -> Result<Database, Error> {
    let name = format!("arena_{rows}");
    if server.has(&name).await? {
        return Ok(server.database(&name));
    }
    let database = server.copy_as(&name, &history(server, rows).await?).await?;
    let mut conn = database.connect().await?;
    sqlx::query(include_str!("arena.sql")).bind(i64::try_from(tasks).unwrap_or(i64::MAX)).execute(&mut conn).await?;
    conn.execute("vacuum (analyze)").await?;
    conn.close().await?;
    Ok(database)
}
