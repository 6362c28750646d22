//! The small world that races and defects happen in, and the question whether every number in it is exact.
use sqlx::{AssertSqlSafe, Executor, PgConnection};
use tallybook::testing::{self, TestDatabase};

/// How usage is captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Capture {
    ByStatement,
    ByRow,
}

pub(crate) const CAPTURES: [Capture; 2] = [Capture::ByStatement, Capture::ByRow];

/// A database with the world in it, nothing of which is folded. `the('task 1')` is its first task's id, and so on.
pub(crate) async fn database(capture: Capture) -> TestDatabase {
    let db = empty_database(capture).await;
    db.pool.execute(include_str!("world.sql")).await.unwrap();
    db
}

/// The same without any row.
pub(crate) async fn empty_database(capture: Capture) -> TestDatabase {
    let db = testing::database().await;
    let mut conn = db.connect().await;
    conn.execute("create function public.the(name text) returns uuid language sql immutable return md5(name)::uuid")
        .await
        .unwrap();
    if capture == Capture::ByRow {
        conn.execute("select tallybook.capture_usage_by('row')").await.unwrap();
    }
    db
}

/// Removes what is there and makes the world anew, in one transaction.
pub(crate) async fn reset(conn: &mut PgConnection) {
    conn.execute(concat!("begin;\n", include_str!("world.sql"), ";\ncommit")).await.unwrap();
}

/// Asserts, in one snapshot, that every now-view equals raw: as `verify` sees it, and both of ours against sums written by hand.
pub(crate) async fn assert_exact(conn: &mut PgConnection, after: &str) {
    compare(conn, true, after).await.unwrap();
}

/// The same without `verify`, which takes most of the time.
pub(crate) async fn assert_equals_raw(conn: &mut PgConnection, after: &str) {
    compare(conn, false, after).await.unwrap();
}

/// Fails where that cannot be looked up: somebody drops a rollup meanwhile, say.
pub(crate) async fn compare(conn: &mut PgConnection, verify: bool, after: &str) -> Result<(), sqlx::Error> {
    let differing: (i64, i64, i64) = sqlx::query_as(include_str!("exact.sql")).bind(verify).fetch_one(&mut *conn).await?;
    if differing != (0, 0, 0) {
        let report = tallybook::rollup::verify::verify_in(&mut conn.into()).await?;
        panic!("{differing:?} keys differ after {after}: {report:#?}");
    }
    Ok(())
}

/// Folds all that is pending, and asserts that nothing changed by it.
pub(crate) async fn fold_exactly(conn: &mut PgConnection, after: &str) {
    assert_equals_raw(conn, after).await;
    conn.execute("select tallybook.fold(25, 50000)").await.unwrap();
    let pending: bool = sqlx::query_scalar("select tallybook.is_pending()").fetch_one(&mut *conn).await.unwrap();
    assert!(!pending, "a fold left something after {after}");
    assert_exact(conn, &format!("{after}, folded")).await;
}

/// Makes whoever writes rows of a rollup wait while `GATE_CLOSE` holds, with what it will write already computed.
pub(crate) async fn install_gate(conn: &mut PgConnection, rollup: &str) {
    conn.execute(
        "create or replace function public.gate() returns trigger language plpgsql as
         $$ begin perform pg_advisory_xact_lock_shared(4711); return new; end $$",
    )
    .await
    .unwrap();
    conn.execute(AssertSqlSafe(format!(
        "create or replace trigger gate before insert on tallybook.{rollup} for each row execute function public.gate()"
    )))
    .await
    .unwrap();
}

/// Declares both rollups anew, so that none of their days is covered.
pub(crate) async fn redeclare(conn: &mut PgConnection) {
    conn.execute(include_str!("redeclare.sql")).await.unwrap();
}

/// Takes the coverage back to nothing, as if both rollups had just been declared, but without any DDL.
pub(crate) async fn uncover(conn: &mut PgConnection) {
    conn.execute(
        "begin; delete from tallybook.task_usage_daily; delete from tallybook.task_usage_quarter_hour;
         update tallybook.rollup set covered_from = 'infinity'; commit",
    )
    .await
    .unwrap();
}

pub(crate) const GATE_CLOSE: &str = "select pg_advisory_lock(4711)";
pub(crate) const GATE_OPEN: &str = "select pg_advisory_unlock(4711)";
