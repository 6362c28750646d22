//! `tallybook retain`: what it says, and how it exits.
use super::{on, transcript_on};
use serde_json::{Value, json};
use sqlx::Executor;
use tallybook::testing::{self, TestDatabase};

async fn world() -> TestDatabase {
    let database = testing::database().await;
    database.pool.execute(include_str!("../../../src/testing/one_task.sql")).await.unwrap();
    database.pool.execute(include_str!("../../../src/testing/five_days.sql")).await.unwrap();
    database
}

/// The age, in days, of 2026-02-03.
async fn age(database: &TestDatabase) -> i32 {
    sqlx::query_scalar("select (now() at time zone 'UTC')::date - '2026-02-03'::date").fetch_one(&database.pool).await.unwrap()
}

#[tokio::test]
async fn old_usage_is_announced_sealed_and_then_nothing_is_left_to_do() {
    let database = world().await;
    let days = age(&database).await;
    let retain = format!("retain --raw {days}d --quarter-hours {}d", days + 1);
    insta::assert_snapshot!(transcript_on(&database, &format!("{retain} --dry-run")), @"
    Would seal 7 rows of 3 days before 2026-02-03:
    day         rows
    2026-01-02     1
    2026-02-01     3
    2026-02-02     3
    Would thin 4 rows of 2 days before 2026-02-02:
    day         rows
    2026-01-02     1
    2026-02-01     3
    --- exit 0
    ");
    insta::assert_snapshot!(transcript_on(&database, &retain), @"
    Sealed 7 raw rows of 3 days before 2026-02-03.
    Thinned 2 days before 2026-02-02: 2 sums by quarter hour became 2 by day.
    --- exit 0
    ");
    insta::assert_snapshot!(transcript_on(&database, &retain), @"
    Nothing to seal before 2026-02-03.
    Nothing to thin before 2026-02-02.
    --- exit 0
    ");
    insta::assert_snapshot!(transcript_on(&database, &format!("{retain} --dry-run")), @"
    Nothing to seal before 2026-02-03.
    Nothing to thin before 2026-02-02.
    --- exit 0
    ");
    insta::assert_snapshot!(transcript_on(&database, "verify"), @"
    rollup                   keys compared  keys differing  days differing
    task_usage_daily                     6               0               0
    task_usage_quarter_hour              6               0               0
    Exact.
    --- exit 0
    ");
}

#[tokio::test]
async fn a_day_that_differs_is_said_and_the_exit_code_says_so() {
    let database = world().await;
    database.pool.execute("select tallybook.fold(1, 1000)").await.unwrap();
    database
        .pool
        .execute("update tallybook.task_usage_daily set event_count = 9 where bucket_date = '2026-02-01'")
        .await
        .unwrap();
    let retain = format!("retain --raw {}d", age(&database).await);
    insta::assert_snapshot!(transcript_on(&database, &retain), @"
    Sealed 4 raw rows of 2 days before 2026-02-03.
    LEFT ALONE: 2026-02-01, where task_usage_daily differs; `tallybook repair` rebuilds it.
    --- exit 1
    ");
    let output = on(&database, &format!("{retain} --json")).output().unwrap();
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["plan"]["seal"], json!([{"day": "2026-02-01", "rows": 3}]));
    assert_eq!(answer["done"]["differing"], json!([{"day": "2026-02-01", "rollups": ["task_usage_daily"]}]));
    assert_eq!((&answer["done"]["rows_sealed"], output.status.code()), (&json!(0), Some(1)));
}

#[tokio::test]
async fn keys_of_others_that_refer_to_usage_are_told() {
    let database = world().await;
    database
        .pool
        .execute(
            "create table public.note (usage_id uuid references public.task_usage (id) on delete cascade);
             insert into public.note select id from public.task_usage",
        )
        .await
        .unwrap();
    let retain = format!("retain --raw {}d", age(&database).await);
    insta::assert_snapshot!(transcript_on(&database, &format!("{retain} --dry-run")), @"
    Would seal 7 rows of 3 days before 2026-02-03:
    day         rows
    2026-01-02     1
    2026-02-01     3
    2026-02-02     3
    Would be refused: raw usage is referred to by 7 rows of public.note by note_usage_id_fkey, which would delete them, too: say --follow-foreign-keys if that is meant.
    --- exit 0
    ");
    insta::assert_snapshot!(transcript_on(&database, &retain), @"
    --- standard error
    tallybook: nothing was sealed, for raw usage is referred to, by 7 rows of public.note by note_usage_id_fkey, which would delete them, too: say --follow-foreign-keys if that is meant
    --- exit 2
    ");
    insta::assert_snapshot!(transcript_on(&database, &format!("{retain} --follow-foreign-keys")), @"
    Sealed 7 raw rows of 3 days before 2026-02-03.
    --- exit 0
    ");
}

#[tokio::test]
async fn without_a_terminal_the_log_tells_how_far_it_is() {
    let database = world().await;
    let retain = format!("--log-level info --log-format json retain --raw {}d", age(&database).await);
    let told = String::from_utf8(on(&database, &retain).output().unwrap().stderr).unwrap();
    let lines: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect();
    let last = lines.iter().rfind(|line| line["message"] == "old usage is being sealed").unwrap_or_else(|| panic!("{told}"));
    let told = ["raw_rows.sealed", "raw_rows.planned", "days.done", "days.planned"].map(|name| last[name].clone());
    assert_eq!(told, [json!(7), json!(7), json!(3), json!(3)], "{last}");
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused() {
    let database = world().await;
    insta::assert_snapshot!(transcript_on(&database, "retain --raw 90d --quarter-hours 30d"), @"
    --- standard error
    tallybook: --quarter-hours 30d is less than --raw 90d: only sealed usage can be kept by day
    --- exit 2
    ");
    for wrong in
        ["retain", "retain --raw 90", "retain --raw 0d", "retain --raw 1d --batch-rows 0", "retain --raw 1d --pause soon"]
    {
        assert_eq!(on(&database, wrong).output().unwrap().status.code(), Some(2), "{wrong}");
    }
}

#[tokio::test]
async fn sealed_usage_is_deleted_only_when_that_is_said() {
    let database = world().await;
    let retain = format!("retain --raw {}d", age(&database).await);
    assert!(on(&database, &retain).status().unwrap().success());
    insta::assert_snapshot!(transcript_on(&database, "migrate down --to 8"), @"
    --- standard error
    tallybook: going down to 8 would delete the sealed usage, which is nowhere else; say --delete-usage if that is meant
    --- exit 2
    ");
    assert!(on(&database, "migrate down --to 8 --delete-usage").status().unwrap().success());
    assert!(on(&database, "migrate up").status().unwrap().success());
    let left: i64 = sqlx::query_scalar("select sum(event_count)::bigint from tallybook.task_usage_daily_now")
        .fetch_one(&database.pool)
        .await
        .unwrap();
    assert_eq!(left, 9);
}
