//! `verify`, `repair`, `doctor`, `fold`, `backfill` and `status`: their answers and exit codes.
use super::serve::Serving;
use super::{on, tallybook, transcript, transcript_on};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use sqlx::Executor;
use tallybook::testing::{self, TestDatabase};

async fn with_one_task() -> TestDatabase {
    let database = testing::database().await;
    database.pool.execute(include_str!("../../../src/testing/one_task.sql")).await.unwrap();
    database
}

async fn plant_drift(database: &TestDatabase) {
    database.pool.execute("update tallybook.task_usage_daily set input_tokens = input_tokens + 1").await.unwrap();
}

fn answer(database: &TestDatabase, arguments: &str) -> Value {
    serde_json::from_slice(&on(database, arguments).output().unwrap().stdout).unwrap()
}

#[tokio::test]
async fn verify_exits_0_when_exact_and_1_with_the_keys_that_drift() {
    let database = with_one_task().await;
    insta::assert_snapshot!(transcript_on(&database, "verify"), @"
    rollup                   keys compared  keys differing  days differing
    task_usage_daily                     1               0               0
    task_usage_quarter_hour              1               0               0
    Exact.
    --- exit 0
    ");
    insta::assert_snapshot!(transcript_on(&database, "fold"), @"
    Folded: 2 rollup rows touched.
    --- exit 0
    ");
    insta::assert_snapshot!(transcript_on(&database, "fold"), @"
    Nothing was pending.
    --- exit 0
    ");
    plant_drift(&database).await;
    insta::assert_snapshot!(transcript_on(&database, "verify"), @"
    rollup                   keys compared  keys differing  days differing
    task_usage_daily                     1               1               1
    task_usage_quarter_hour              1               0               0

    task_usage_daily:
      bucket=2026-01-02 model=opus provider=anthropic runtime_id=00000000-0000-4000-8000-000000000002 workspace_id=00000000-0000-4000-8000-000000000001: input_tokens shows 11 and is 10

    What may have led to it:
      suspected: 1 of 1 differing keys looked at show other sums of the same number of rows: rows were updated by a session with session_replication_role = replica, or while a trigger was disabled; or the rollup's table was written by hand

    Drift: `tallybook repair` rebuilds the days above.
    --- exit 1
    ");
    let report = answer(&database, "verify --json");
    assert_eq!(report["exact"], false);
    assert_eq!(report["rollups"][0]["drift"][0]["shown"]["input_tokens"], 11);
    assert_eq!(report["rollups"][0]["drift"][0]["raw"]["input_tokens"], 10);
    assert_eq!(report["rollups"][0]["drifted_days"], json!([{ "day": "2026-01-02", "keys": 1 }]));
    assert_eq!(
        (&report["slices"], &report["sample"], &report["causes"][0]["certainty"]),
        (&json!(1), &json!(null), &json!("suspected"))
    );
}

#[tokio::test]
async fn verify_keeps_to_the_days_it_was_told_or_draws_some() {
    let database = with_one_task().await;
    database.pool.execute(include_str!("../../../src/testing/five_days.sql")).await.unwrap();
    assert!(on(&database, "fold").status().unwrap().success());
    database
        .pool
        .execute("update tallybook.task_usage_daily set input_tokens = 0 where bucket_date = '2026-02-03'")
        .await
        .unwrap();
    insta::assert_snapshot!(transcript_on(&database, "verify --since 2026-01-15 --until 2026-02-02"), @"
    rollup                   keys compared  keys differing  days differing
    task_usage_daily                     2               0               0
    task_usage_quarter_hour              2               0               0
    Exact from 2026-01-15 to 2026-02-02.
    --- exit 0
    ");
    insta::assert_snapshot!(transcript_on(&database, "verify --until 2026-01-02"), @"
    rollup                   keys compared  keys differing  days differing
    task_usage_daily                     1               0               0
    task_usage_quarter_hour              1               0               0
    Exact to 2026-01-02.
    --- exit 0
    ");
    assert!(transcript_on(&database, "verify --since 2026-02-03 --until 2026-02-03").ends_with("--- exit 1\n"));
    insta::assert_snapshot!(transcript_on(&database, "verify --sample 2 --seed 1"), @"
    rollup                   keys compared  keys differing  days differing
    task_usage_daily                     2               1               1
    task_usage_quarter_hour              2               0               0

    task_usage_daily:
      bucket=2026-02-03 model=opus provider=anthropic runtime_id=00000000-0000-4000-8000-000000000002 workspace_id=00000000-0000-4000-8000-000000000001: input_tokens shows 0 and is 6

    What may have led to it:
      suspected: 1 of 1 differing keys looked at show other sums of the same number of rows: rows were updated by a session with session_replication_role = replica, or while a trigger was disabled; or the rollup's table was written by hand

    Drift on 2 of 6 days, drawn with seed 1: `tallybook repair` rebuilds the days above.
    --- exit 1
    ");
    insta::assert_snapshot!(transcript_on(&database, "verify --sample 1 --seed 1"), @"
    rollup                   keys compared  keys differing  days differing
    task_usage_daily                     1               0               0
    task_usage_quarter_hour              1               0               0
    Exact on 1 of 6 days, drawn with seed 1; this says nothing of the others.
    --- exit 0
    ");
    let sampled = answer(&database, "verify --sample 50% --since 2026-02-01 --json");
    assert_eq!((sampled["sample"]["days"].as_array().unwrap().len(), &sampled["sample"]["of_days"]), (3, &json!(5)));
    let again = answer(&database, &format!("verify --sample 50% --since 2026-02-01 --json --seed {}", sampled["sample"]["seed"]));
    assert_eq!(sampled["sample"], again["sample"], "the seed that was told draws the same days");
    insta::assert_snapshot!(transcript_on(&database, "verify --since 2026-02-03 --until 2026-02-02"), @"
    --- standard error
    tallybook: --until 2026-02-02 lies before --since 2026-02-03
    --- exit 2
    ");
    insta::assert_snapshot!(transcript_on(&database, "verify --since yesterday"), @"
    --- standard error
    error: invalid value 'yesterday' for '--since <DAY>': a UTC day, such as 2026-01-31

    For more information, try '--help'.
    --- exit 2
    ");
    insta::assert_snapshot!(transcript_on(&database, "verify --sample 101%"), @"
    --- standard error
    error: invalid value '101%' for '--sample <N|PERCENT%>': a number of days from 1 on, or a percentage from 1% to 100%

    For more information, try '--help'.
    --- exit 2
    ");
}

#[tokio::test]
async fn a_trigger_that_is_away_is_named_as_the_cause_and_by_doctor() {
    let database = with_one_task().await;
    assert!(on(&database, "fold").status().unwrap().success());
    assert!(transcript_on(&database, "doctor").ends_with("Healthy: nothing endangers exactness.\n--- exit 0\n"));
    database
        .pool
        .execute("alter table public.task_usage disable trigger tallybook_update; update public.task_usage set input_tokens = 11")
        .await
        .unwrap();
    let told = transcript_on(&database, "verify");
    assert!(told.contains("\n  found: trigger tallybook_update on public.task_usage: it is disabled"), "{told}");
    insta::assert_snapshot!(transcript_on(&database, "repair"), @"
    --- standard error
    tallybook: capture is not intact: trigger tallybook_update on public.task_usage is disabled; `tallybook doctor` tells how to mend it, then repair again
    --- exit 2
    ");
    let told = transcript_on(&database, "doctor");
    let (finding, _) = told.split_once("\n\n").unwrap();
    insta::assert_snapshot!(finding, @"
    DANGER     trigger tallybook_update on public.task_usage: it is disabled: changes of the table are in no rollup, and nothing is folded
               Enable it, then run `tallybook verify` and, where it finds drift, `tallybook repair`.
                 alter table public.task_usage enable trigger tallybook_update;
    ");
    assert!(told.ends_with("1 finding endangers exactness.\n--- exit 1\n"), "{told}");
    let document = answer(&database, "doctor --json");
    assert_eq!((&document["healthy"], &document["unchecked"]), (&json!(false), &json!([])));
    database.pool.execute(sqlx::AssertSqlSafe(document["findings"][0]["sql"].as_str().unwrap().to_owned())).await.unwrap();
    assert!(transcript_on(&database, "repair").ends_with("Exact now.\n--- exit 0\n"));
}

#[tokio::test]
async fn what_doctor_could_not_look_at_makes_it_exit_2() {
    let database = with_one_task().await;
    let name = database.options().get_database().unwrap().to_owned();
    database
        .pool
        .execute(sqlx::AssertSqlSafe(format!("alter database {name} set default_transaction_read_only = on")))
        .await
        .unwrap();
    let told = transcript_on(&database, "doctor");
    assert!(told.contains("UNCHECKED  schema: cannot execute CREATE SCHEMA in a read-only transaction"), "{told}");
    assert!(told.contains("\ntallybook: could not check: schema (") && told.ends_with("--- exit 2\n"), "{told}");
    let empty = testing::empty_database().await;
    let told = transcript_on(&empty, "doctor");
    assert!(told.contains("DANGER     migration 0001: it is not applied") && told.ends_with("--- exit 1\n"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_service_finds_drift_and_leaves_it_to_repair() {
    let database = with_one_task().await;
    let serving = Serving::start(&mut on(&database, "serve --listen 127.0.0.1:0"));
    serving.wait_for_metric("tallybook_service_drifted_keys{rollup=\"task_usage_daily\"} 0");
    serving.wait_for_metric("tallybook_service_verify_coverage_ratio 1.0");
    serving.wait_for_metric("tallybook_service_pending_rows{kind=\"usage\"} 0");
    plant_drift(&database).await;
    serving.wait_for_metric("tallybook_service_drifted_keys{rollup=\"task_usage_daily\"} 1");
    serving.wait_for_metric("tallybook_service_drifted_days{rollup=\"task_usage_daily\"} 1");
    serving.wait_for_metric("tallybook_service_drifted_keys{rollup=\"task_usage_quarter_hour\"} 0");
    serving.wait_for("/readyz", 200);
    let told = transcript_on(&database, "status");
    assert!(
        told.contains("FAULT: rollup task_usage_daily differs from raw usage in 1 key on 1 day\n  `tallybook doctor` looks")
            && told.ends_with("--- exit 1\n"),
        "{told}"
    );
    assert!(transcript_on(&database, "doctor").contains("DANGER     rollup task_usage_daily: keys were found to differ from raw usage: 1 of them, on 1 UTC days from 2026-01-02 on"));
    assert!(transcript_on(&database, "verify").ends_with("--- exit 1\n"), "nothing repairs by itself");
    assert!(transcript_on(&database, "repair").ends_with("Exact now.\n--- exit 0\n"));
    serving.wait_for_metric("tallybook_service_drifted_keys{rollup=\"task_usage_daily\"} 0");
    let (status, log) = serving.stop(Signal::SIGTERM);
    assert!(status.success() && log.contains("a rollup differs from raw usage"), "{log}");
}

#[tokio::test]
async fn repair_rebuilds_what_drifted_and_nothing_else() {
    let database = with_one_task().await;
    insta::assert_snapshot!(transcript_on(&database, "repair"), @"
    rollup                   keys compared  keys differing  days differing
    task_usage_daily                     1               0               0
    task_usage_quarter_hour              1               0               0
    Exact: nothing to repair.
    --- exit 0
    ");
    assert!(on(&database, "fold").status().unwrap().success());
    plant_drift(&database).await;
    insta::assert_snapshot!(transcript_on(&database, "repair --dry-run"), @"
    rollup                   keys compared  keys differing  days differing
    task_usage_daily                     1               1               1
    task_usage_quarter_hour              1               0               0

    task_usage_daily:
      bucket=2026-01-02 model=opus provider=anthropic runtime_id=00000000-0000-4000-8000-000000000002 workspace_id=00000000-0000-4000-8000-000000000001: input_tokens shows 11 and is 10

    Would rebuild:
    rollup            day         keys differing
    task_usage_daily  2026-01-02               1
    Nothing was changed.
    --- exit 1
    ");
    assert!(transcript_on(&database, "verify").ends_with("--- exit 1\n"));
    assert!(transcript_on(&database, "repair --until 2026-01-01").contains("Exact to 2026-01-01: nothing to repair."));
    let planned = answer(&database, "repair --dry-run --json");
    assert_eq!((&planned["exact"], &planned["days"]), (&json!(false), &json!(["2026-01-02"])));
    insta::assert_snapshot!(transcript_on(&database, "repair"), @"
    rollup                   keys compared  keys differing  days differing
    task_usage_daily                     1               1               1
    task_usage_quarter_hour              1               0               0

    task_usage_daily:
      bucket=2026-01-02 model=opus provider=anthropic runtime_id=00000000-0000-4000-8000-000000000002 workspace_id=00000000-0000-4000-8000-000000000001: input_tokens shows 11 and is 10

    Rebuilt 1 day:
    rollup            day         keys that differed  rows written
    task_usage_daily  2026-01-02                   1             1
    Exact now.
    --- exit 0
    ");
    assert!(transcript_on(&database, "verify").ends_with("Exact.\n--- exit 0\n"));
    let report = answer(&database, "repair --json");
    assert_eq!((&report["exact"], &report["days"]), (&Value::Bool(true), &Value::Array(Vec::new())));
}

#[test]
fn what_could_not_be_checked_exits_2() {
    for command in
        ["verify", "repair", "doctor", "fold", "backfill", "status", "usage", "migrate up", "migrate status", "token list"]
    {
        let mut away = tallybook(command);
        away.env("DATABASE_URL", "postgres://app:hunter2@127.0.0.1:1/usage");
        assert_eq!(
            transcript(&mut away),
            "--- standard error\n\
             tallybook: database usage at 127.0.0.1:1 as user app does not answer: Connection refused (os error 111); \
             check that PostgreSQL runs there and that DATABASE_URL is right\n--- exit 2\n",
            "{command}"
        );
    }
}

#[tokio::test]
async fn a_database_without_rights_says_so() {
    let database = with_one_task().await;
    let role = format!("reader_{}", uuid::Uuid::new_v4().simple());
    let sql = |text: String| sqlx::AssertSqlSafe(text);
    database
        .pool
        .execute(sql(format!("create role {role} login password 'reader'; grant usage on schema tallybook to {role}")))
        .await
        .unwrap();
    let mut command = on(&database, "verify");
    let url = database.options().username(&role).password("reader");
    command.env("DATABASE_URL", sqlx::ConnectOptions::to_url_lossy(&url).as_str());
    let told = transcript(&mut command);
    database.pool.execute(sql(format!("drop owned by {role}; drop role {role}"))).await.unwrap();
    assert!(told.contains("permission denied") && told.ends_with("--- exit 2\n"), "{told}");
}
