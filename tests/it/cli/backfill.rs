//! `tallybook backfill`: what it says, where it stops, and that it goes on.
use super::serve::Serving;
use super::{on, transcript_on};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use sqlx::Executor;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tallybook::testing::{self, TestDatabase};

/// How long anything may take that is waited for.
const PATIENCE: Duration = Duration::from_mins(1);

/// Six days with usage, of which nothing is covered.
async fn history() -> TestDatabase {
    let database = testing::database().await;
    database.pool.execute(include_str!("../../../src/testing/one_task.sql")).await.unwrap();
    database.pool.execute(include_str!("../../../src/testing/five_days.sql")).await.unwrap();
    database.pool.execute(include_str!("../../../src/testing/redeclare.sql")).await.unwrap();
    assert!(on(&database, "fold").status().unwrap().success());
    database
}

fn answer(database: &TestDatabase, arguments: &str) -> Value {
    serde_json::from_slice(&on(database, arguments).output().unwrap().stdout).unwrap()
}

async fn rows_left(database: &TestDatabase) -> i64 {
    sqlx::query_scalar("select max(raw_rows_left) from tallybook.backfill_progress").fetch_one(&database.pool).await.unwrap()
}

#[tokio::test]
async fn it_covers_what_it_is_told_to_and_says_so() {
    let database = history().await;
    assert_eq!(answer(&database, "status --json")["rollups"][0]["uncovered"], true);
    assert!(transcript_on(&database, "status").contains("\nBackfill      16 raw rows left, not begun\n"));
    assert!(transcript_on(&database, "verify").ends_with("Exact.\n--- exit 0\n"));
    insta::assert_snapshot!(transcript_on(&database, "backfill --since 2026-02-04"), @"
    All days from 2026-02-04 on are covered: 6 raw rows in 1 slice, 4 rollup rows.
    --- exit 0
    ");
    insta::assert_snapshot!(transcript_on(&database, "backfill --since 2026-02-04"), @"
    Nothing to do: all days from 2026-02-04 on are covered.
    --- exit 0
    ");
    let status = transcript_on(&database, "status");
    assert!(
        status.contains("\nBackfill      10 raw rows left, ") && status.contains(" at the last pace, the last slice at "),
        "{status}"
    );
    insta::assert_snapshot!(transcript_on(&database, "backfill --slice-rows 4"), @"
    All history is covered: 10 raw rows in 2 slices, 8 rollup rows.
    --- exit 0
    ");
    insta::assert_snapshot!(transcript_on(&database, "backfill"), @"
    Nothing to do: all history is covered.
    --- exit 0
    ");
    assert!(transcript_on(&database, "status").contains("\nBackfill      done: all history is covered\n"));
    assert!(transcript_on(&database, "verify").ends_with("Exact.\n--- exit 0\n"));
}

#[tokio::test]
async fn a_dry_run_says_what_there_is_to_do_and_changes_nothing() {
    let database = history().await;
    let told = transcript_on(&database, "backfill --dry-run --slice-rows 4");
    let (plan, estimate) = told.split_once("It takes").unwrap();
    insta::assert_snapshot!(plan, @"
    rollup                   days with usage to cover  raw rows on them
    task_usage_daily                                6                16
    task_usage_quarter_hour                         6                16

    Would cover 16 raw rows in 3 slices.
    ");
    assert!(estimate.starts_with(" at least about ") && estimate.ends_with("Nothing was changed.\n--- exit 0\n"), "{estimate}");
    let plan = answer(&database, "backfill --dry-run --json --since 2026-02-05 --max-rows-per-second 1");
    assert_eq!(plan["slices"], json!([{"since": "2026-02-05T00:00:00Z", "until": null, "raw_rows": 3, "days": 1}]));
    assert_eq!((&plan["raw_rows"], &plan["seconds_estimated"], &plan["pace"]["basis"]), (&json!(3), &json!(3), &json!("sample")));
    assert_eq!(rows_left(&database).await, 16);
    assert!(on(&database, "backfill").status().unwrap().success());
    assert!(transcript_on(&database, "backfill --dry-run").starts_with("Nothing to do: all history is covered.\n"));
}

#[tokio::test]
async fn it_keeps_to_a_rate_and_pauses() {
    for (throttle, least) in [("--max-rows-per-second 16", 875), ("--slice-rows 4 --pause 300ms", 900)] {
        let database = history().await;
        let began = Instant::now();
        let done = answer(&database, &format!("backfill --json {throttle}"));
        assert_eq!(done["raw_rows"], 16);
        assert!(began.elapsed() >= Duration::from_millis(least), "{throttle}: {:?}", began.elapsed());
    }
    let database = history().await;
    assert!(transcript_on(&database, "backfill --pause soon").contains("a time, such as 200ms, 20s or 1h30m"));
}

#[tokio::test]
async fn killed_between_two_slices_it_goes_on_where_it_was() {
    let database = history().await;
    let mut run = on(&database, "backfill --slice-rows 4 --pause 1h").stdout(Stdio::null()).spawn().unwrap();
    let began = Instant::now();
    while rows_left(&database).await == 16 {
        assert!(began.elapsed() < PATIENCE, "no slice is covered");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    run.kill().unwrap();
    run.wait().unwrap();
    assert_eq!(rows_left(&database).await, 10);
    assert!(transcript_on(&database, "verify").ends_with("Exact.\n--- exit 0\n"));
    assert_eq!(answer(&database, "backfill --json")["raw_rows"], 10, "and does nothing again");
    assert!(transcript_on(&database, "verify").ends_with("Exact.\n--- exit 0\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_covers_history_unless_it_is_told_not_to() {
    let database = history().await;
    let idle = Serving::start(&mut on(&database, "serve --listen 127.0.0.1:0 --background-backfill=false"));
    // It has folded, and would have covered, too.
    database.pool.execute("update public.task_usage set input_tokens = input_tokens + 1").await.unwrap();
    idle.wait_for_metric("tallybook_service_pending_rows{kind=\"usage\"} 0");
    idle.wait_for_metric("tallybook_service_backfill_rows_left{rollup=\"task_usage_daily\"} 16");
    assert!(idle.stop(Signal::SIGTERM).0.success());
    assert_eq!(rows_left(&database).await, 16);
    let serving = Serving::start(&mut on(&database, "serve --listen 127.0.0.1:0"));
    serving.wait_for_metric("tallybook_service_backfill_rows_left{rollup=\"task_usage_daily\"} 0");
    serving.wait_for_metric("tallybook_service_rollup_covered{rollup=\"task_usage_quarter_hour\"} 1");
    assert!(serving.stop(Signal::SIGTERM).0.success());
    assert!(transcript_on(&database, "verify").ends_with("Exact.\n--- exit 0\n"));
}
