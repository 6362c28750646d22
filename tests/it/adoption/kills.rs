//! Whoever adopts or leaves may be killed at any step, with `kill -9`, and be run again: the server lets go by itself, and all ends as it would have.
use super::{PARTITIONED, PLATFORM, TestDatabase, assert_exact, assert_healthy, differing, dump, host, run};
use crate::cli::on;
use sqlx::{AssertSqlSafe, Executor};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tallybook::adopt::{self, Patience};
use tallybook::rollup::{backfill, fold};
use tokio::process::Command;
use tokio::task::JoinSet;

/// The advisory lock of whoever adopts or leaves.
const LOCK_KEY: i64 = 0x7a11_ad0b_7000_0001;
/// How long the server may take to notice that its client is gone, and a command for a step, on a machine that is very busy.
const PATIENCE: Duration = Duration::from_mins(2);
const POLL: Duration = Duration::from_millis(2);
const UP: &str = "migrate up --adopt";
const DOWN: &str = "migrate down --to 0";
/// Somebody waits, in the middle of what is done concurrently, for a transaction to end.
const HELD_UP: &str = "select exists (select from pg_stat_activity where datname = current_database() and query ~* '^(create|drop) index concurrently' and wait_event_type = 'Lock')";

fn start(db: &TestDatabase, arguments: &str) -> Child {
    on(db, arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

async fn holds(db: &TestDatabase, question: &str) -> bool {
    sqlx::query_scalar(AssertSqlSafe(question.to_owned())).fetch_one(&db.pool).await.unwrap()
}

/// Kills it as soon as that holds, unless it ends before, and waits until the server has let go of all that it had.
async fn kill_when(db: &TestDatabase, mut child: Child, question: &str) -> ExitStatus {
    let began = Instant::now();
    while !holds(db, question).await && child.try_wait().unwrap().is_none() {
        assert!(began.elapsed() < PATIENCE, "it never came to: {question}");
        tokio::time::sleep(POLL).await;
    }
    child.kill().unwrap();
    let status = child.wait().unwrap();
    let is_left = format!("select pg_try_advisory_xact_lock({LOCK_KEY})");
    let began = Instant::now();
    while !holds(db, &is_left).await {
        assert!(began.elapsed() < PATIENCE, "the server goes on for whoever was killed, and keeps its lock");
        tokio::time::sleep(POLL).await;
    }
    status
}

/// Lets it come to its end.
async fn finish(db: &TestDatabase, arguments: &str) {
    let output = Command::from(on(db, arguments)).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The host writes as before and, where anything is shown, that is what is there.
async fn the_host_goes_on(db: &TestDatabase) {
    run(db, "select count(host.write(n % 4)) from generate_series(1, 20) n").await;
    if holds(db, "select to_regclass('tallybook.task_usage_quarter_hour_now') is not null").await {
        assert_eq!(differing(&db.pool).await.unwrap(), 0);
    }
}

/// Kills a run at each of these steps, one after the other.
async fn kill_at_each(db: &TestDatabase, arguments: &str, steps: &[String]) {
    let mut kills = 0;
    for step in steps {
        let status = kill_when(db, start(db, arguments), step).await;
        kills += usize::from(status.signal() == Some(9));
        the_host_goes_on(db).await;
    }
    assert!(kills * 2 > steps.len(), "{kills} of {} runs were killed", steps.len());
    finish(db, arguments).await;
}

#[tokio::test]
async fn m02_who_is_killed_at_any_step_is_run_again_and_all_is_as_it_should_be() {
    let db = host(PLATFORM).await;
    let before = dump(&db).await;
    let indexes = ["agent_task_queue_agent", "agent_task_queue_runtime", "task_usage_time"];
    let index = |name: &str, is: &str| format!("select to_regclass('public.tallybook_{name}') is {is}");
    let captured = |table: &str, is: &str| {
        format!(
            "select {is} exists (select from pg_trigger where tgname = 'tallybook_insert' and tgrelid = 'public.{table}'::regclass)"
        )
    };
    let mut steps = vec![
        "select to_regclass('tallybook.installation') is not null".to_owned(),
        "select to_regclass('tallybook.entity_mark') is not null".to_owned(),
    ];
    steps.extend(indexes.map(|name| index(name, "not null")));
    steps.extend(["issue", "agent", "agent_task_queue", "task_usage"].map(|table| captured(table, "")));
    kill_at_each(&db, UP, &steps).await;
    assert_exact(&db).await;
    backfill::run(&db.pool, 1000, |_| {}).await.unwrap();
    the_host_goes_on(&db).await;
    fold::drain(&db.pool).await.unwrap();
    assert_exact(&db).await;
    assert_healthy(&db).await;

    let mut steps = vec!["select to_regclass('tallybook.task_usage_daily_now') is null".to_owned()];
    steps.extend(["agent", "agent_task_queue", "issue", "task_usage"].map(|table| captured(table, "not")));
    steps.extend(indexes[..2].iter().map(|name| index(name, "null")));
    kill_at_each(&db, DOWN, &steps).await;
    // What is left where a kill met the last moment of all.
    run(
        &db,
        "create schema tallybook;
         create table tallybook.migration (version bigint primary key, description text not null, installed_on timestamptz not null default now(),
           success boolean not null, checksum bytea not null, execution_time bigint not null)",
    )
    .await;
    finish(&db, DOWN).await;
    the_host_goes_on(&db).await;
    assert_eq!(dump(&db).await, before);
}

/// Kills two runs while they build, or drop, an index that an old transaction holds up all the time.
async fn is_killed_inside_a_build(schema: &'static str) -> (TestDatabase, String) {
    let db = host(schema).await;
    let before = dump(&db).await;
    let mut reader = db.connect().await;
    reader.execute("begin isolation level repeatable read; select count(*) from public.workspace").await.unwrap();
    for _ in 0..2 {
        assert_eq!(kill_when(&db, start(&db, UP), HELD_UP).await.signal(), Some(9));
        assert!(!holds(&db, HELD_UP).await);
        the_host_goes_on(&db).await;
    }
    reader.execute("commit").await.unwrap();
    finish(&db, UP).await;
    the_host_goes_on(&db).await;
    backfill::run(&db.pool, 1000, |_| {}).await.unwrap();
    assert_exact(&db).await;
    assert_healthy(&db).await;
    (db, before)
}

#[tokio::test]
async fn m02_who_is_killed_inside_a_build_leaves_nobody_at_it() {
    let (db, before) = is_killed_inside_a_build(PLATFORM).await;
    // On the way back, too: cut off when the triggers are gone, and then killed while an index is dropped.
    let pool = db.pool.clone();
    let mut leaving = JoinSet::new();
    leaving.spawn(async move {
        let is_enough = |step: String| assert!(!step.ends_with("public.task_usage"), "enough");
        adopt::remove(&pool, 0, Patience::default(), is_enough).await
    });
    assert!(leaving.join_next().await.unwrap().unwrap_err().is_panic());
    let mut reader = db.connect().await;
    reader.execute("begin; select count(*) from public.task_usage").await.unwrap();
    assert_eq!(kill_when(&db, start(&db, DOWN), HELD_UP).await.signal(), Some(9));
    the_host_goes_on(&db).await;
    reader.execute("commit").await.unwrap();
    finish(&db, DOWN).await;
    assert_eq!(dump(&db).await, before);
}

#[tokio::test]
async fn m02_nor_inside_that_of_a_partition() {
    let (db, before) = is_killed_inside_a_build(PARTITIONED).await;
    finish(&db, DOWN).await;
    assert_eq!(dump(&db).await, before);
}
