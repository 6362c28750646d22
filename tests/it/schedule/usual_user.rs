//! Somebody who only knows the usual design: the same calls, answers and monitors, in the schema tallybook.
use sqlx::{Connection, Executor, PgConnection, Row};
use std::process::{Command, Output};
use tallybook::testing::{self, TestDatabase};

async fn with_one_task() -> TestDatabase {
    let db = testing::database().await;
    db.pool.execute(include_str!("../../../src/testing/one_task.sql")).await.unwrap();
    db
}

/// What a cron job's shell sees.
fn psql(db: &TestDatabase, sql: &str) -> Output {
    let found = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/postgres-bin")).output().unwrap();
    let bin = String::from_utf8(found.stdout).unwrap();
    let url = sqlx::ConnectOptions::to_url_lossy(&db.options());
    Command::new(format!("{}/psql", bin.trim()))
        .args(["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-d"])
        .arg(url.as_str().split('?').next().unwrap())
        .args(["-c", sql])
        .output()
        .unwrap()
}

/// Standard output, standard error, and whether it went well.
fn told(output: &Output) -> (String, String, bool) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap().trim().to_owned();
    (text(&output.stdout), text(&output.stderr), output.status.success())
}

async fn one<T>(conn: &mut PgConnection, sql: &'static str) -> T
where
    T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + Unpin,
{
    sqlx::query(sql).fetch_one(conn).await.unwrap().get(0)
}

#[tokio::test]
async fn calls_give_the_types_that_monitors_are_written_for() {
    let db = testing::database().await;
    let mut conn = db.connect().await;
    let types: String = one(
        &mut conn,
        "select concat_ws(', ', pg_typeof(tallybook.rollup_task_usage_daily()), pg_typeof(tallybook.task_usage_rollup_lag_seconds()))",
    )
    .await;
    assert_eq!(types, "bigint, double precision");
    let window: String =
        one(&mut conn, "select pg_typeof(tallybook.rollup_task_usage_daily_window(now() - interval '1 day', now()))::text").await;
    assert_eq!(window, "bigint");
    // By name, as whoever writes them out does.
    one::<i64>(&mut conn, "select tallybook.rollup_task_usage_daily_window(p_from => now() - interval '1 day', p_to => now())")
        .await;
}

#[tokio::test]
async fn the_state_is_a_row_of_id_1_and_tells_what_it_always_did() {
    let db = with_one_task().await;
    let mut conn = db.connect().await;
    let before =
        "select last_run_started_at is null and last_run_finished_at is null and last_run_rows is null and last_error is null
        and watermark_at < now() and tallybook.task_usage_rollup_lag_seconds() is null
      from tallybook.task_usage_rollup_state where id = 1";
    assert!(one::<bool>(&mut conn, before).await, "before the first tick");
    assert_eq!(one::<i64>(&mut conn, "select count(*) from tallybook.task_usage_daily_dirty").await, 1);
    assert!(one::<i64>(&mut conn, "select tallybook.rollup_task_usage_daily()").await > 0);
    let after = "select last_run_started_at <= last_run_finished_at and last_run_rows > 0 and last_error is null
        and watermark_at >= last_run_finished_at and tallybook.task_usage_rollup_lag_seconds() = 0
        and not exists (select from tallybook.task_usage_daily_dirty)
      from tallybook.task_usage_rollup_state where id = 1";
    assert!(one::<bool>(&mut conn, after).await, "after it");
    assert_eq!(one::<i64>(&mut conn, "select tallybook.rollup_task_usage_daily()").await, 0, "nothing is pending");

    // What waits ages, and the lag with it; the newest change does not make it younger.
    conn.execute("update public.task_usage set input_tokens = 11; update tallybook.usage_change set captured_at = now() - interval '1 hour'")
        .await
        .unwrap();
    conn.execute("update public.task_usage set input_tokens = 12").await.unwrap();
    let aged = "select tallybook.task_usage_rollup_lag_seconds() between 3600 and 3700
        and now() - watermark_at between '60 minutes' and '62 minutes' and (select min(enqueued_at) from tallybook.task_usage_daily_dirty) = watermark_at
      from tallybook.task_usage_rollup_state where id = 1";
    assert!(one::<bool>(&mut conn, aged).await, "the oldest counts");
}

#[tokio::test]
async fn a_tick_that_finds_another_one_at_work_answers_0_and_says_who() {
    let db = with_one_task().await;
    let mut other = db.connect().await;
    other.execute("set application_name = 'other tick'; begin; select tallybook.rollup_task_usage_daily()").await.unwrap();
    let (answer, said, well) = told(&psql(&db, "select tallybook.rollup_task_usage_daily()"));
    assert!(well && answer == "0", "{answer} {said}");
    assert!(
        said.starts_with("NOTICE:  not folded: rollups are being written by backend ") && said.contains("(other tick)"),
        "{said}"
    );
    other.execute("rollback").await.unwrap();
    let (answer, said, well) = told(&psql(&db, "select tallybook.rollup_task_usage_daily()"));
    assert!(well && answer == "2" && said.is_empty(), "{answer} {said}");
    // No lock is left in a session that goes back to a pool.
    let mut conn = db.connect().await;
    conn.execute("select tallybook.rollup_task_usage_daily()").await.unwrap();
    assert_eq!(
        one::<i64>(&mut conn, "select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()").await,
        0
    );
}

#[tokio::test]
async fn a_tick_that_fails_raises_and_its_caller_s_record_is_shown() {
    let db = with_one_task().await;
    db.pool.execute("alter table public.agent disable trigger tallybook_delete").await.unwrap();
    let (_, said, well) = told(&psql(&db, "select tallybook.rollup_task_usage_daily()"));
    assert!(
        !well && said.contains("ERROR:  capture is not intact: trigger tallybook_delete on public.agent is disabled"),
        "{said}"
    );
    let mut conn = db.connect().await;
    let pending = "select tallybook.is_pending()";
    assert!(one::<bool>(&mut conn, pending).await, "nothing is lost");
    conn.execute("select tallybook.record_fold_error('as the caller saw it')").await.unwrap();
    let error = "select last_error from tallybook.task_usage_rollup_state where id = 1";
    assert_eq!(one::<Option<String>>(&mut conn, error).await.as_deref(), Some("as the caller saw it"));
    conn.execute("alter table public.agent enable trigger tallybook_delete; ").await.unwrap();
    conn.execute("select tallybook.rollup_task_usage_daily()").await.unwrap();
    assert_eq!(one::<Option<String>>(&mut conn, error).await, None);
    assert!(!one::<bool>(&mut conn, pending).await);
}

#[tokio::test]
async fn a_window_takes_any_bounds_that_scripts_give_it() {
    let db = with_one_task().await;
    let mut conn = db.connect().await;
    conn.execute("select tallybook.rollup_task_usage_daily(); update tallybook.task_usage_daily set input_tokens = 1")
        .await
        .unwrap();
    let shown = "select input_tokens::text from tallybook.task_usage_daily_now";
    for (bounds, touched, input) in [
        ("now(), now() - interval '1 day'", 0, "1"),
        ("'2026-02-01', '2026-03-01'", 0, "1"),
        ("'2026-01-02 03:00+00', '2026-01-02 04:00+00'", 2, "10"),
        ("'-infinity', 'infinity'", 2, "10"),
        ("now() - interval '5 minutes', 'infinity'", 2, "10"),
    ] {
        let sql = format!("select tallybook.rollup_task_usage_daily_window({bounds})");
        let written: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&mut conn).await.unwrap();
        assert_eq!((written, one::<String>(&mut conn, shown).await.as_str()), (touched, input), "{bounds}");
    }
    let refused = conn.execute("select tallybook.rollup_task_usage_daily_window(null, now())").await.unwrap_err();
    assert_eq!(refused.as_database_error().unwrap().code().unwrap(), "22004");
}

#[tokio::test]
async fn every_session_s_settings_leave_it_alone() {
    let db = with_one_task().await;
    for settings in ["set timezone = 'Asia/Kolkata'", "set datestyle = 'Postgres, DMY'", "set search_path = public"] {
        let mut conn = PgConnection::connect_with(&db.options()).await.unwrap();
        conn.execute(settings).await.unwrap();
        conn.execute("update public.task_usage set input_tokens = input_tokens + 1").await.unwrap();
        conn.execute("select tallybook.rollup_task_usage_daily()").await.unwrap();
        let days: String =
            one(&mut conn, "select to_char(min(bucket_date), 'YYYY-MM-DD') || count(*) from tallybook.task_usage_daily").await;
        assert_eq!(days, "2026-01-021", "{settings}");
    }
}
