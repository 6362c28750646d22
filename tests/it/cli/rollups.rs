//! `verify`, `repair`, `fold`, `backfill` and `status`: their answers and exit codes.
use super::{on, tallybook, transcript, transcript_on};
use serde_json::Value;
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

fn json(database: &TestDatabase, arguments: &str) -> Value {
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
    Drift: `tallybook repair` rebuilds the days above.
    --- exit 1
    ");
    let report = json(&database, "verify --json");
    assert_eq!(report["exact"], false);
    assert_eq!(report["rollups"][0]["drift"][0]["shown"]["input_tokens"], 11);
    assert_eq!(report["rollups"][0]["drift"][0]["raw"]["input_tokens"], 10);
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
    insta::assert_snapshot!(transcript_on(&database, "repair"), @"
    rollup                   keys compared  keys differing  days differing
    task_usage_daily                     1               1               1
    task_usage_quarter_hour              1               0               0

    task_usage_daily:
      bucket=2026-01-02 model=opus provider=anthropic runtime_id=00000000-0000-4000-8000-000000000002 workspace_id=00000000-0000-4000-8000-000000000001: input_tokens shows 11 and is 10

    Rebuilt 1 day, 2 rollup rows:
      2026-01-02
    Exact now.
    --- exit 0
    ");
    assert!(transcript_on(&database, "verify").ends_with("Exact.\n--- exit 0\n"));
    let report = json(&database, "repair --json");
    assert_eq!((&report["exact"], &report["days"]), (&Value::Bool(true), &Value::Array(Vec::new())));
}

#[tokio::test]
async fn backfill_covers_history_that_was_there_before() {
    let database = testing::empty_database().await;
    tallybook::db::migrate::up(&database.pool).await.unwrap();
    tallybook::db::migrate::down(&database.pool, 1).await.unwrap();
    database.pool.execute(include_str!("../../../src/testing/one_task.sql")).await.unwrap();
    assert!(on(&database, "migrate up").status().unwrap().success());
    let status = json(&database, "status --json");
    assert_eq!(status["rollups"][0]["uncovered"], true);
    assert!(transcript_on(&database, "verify").ends_with("Exact.\n--- exit 0\n"));
    insta::assert_snapshot!(transcript_on(&database, "backfill"), @"
    All history is covered: 1 raw row in 1 slice, 2 rollup rows.
    --- exit 0
    ");
    insta::assert_snapshot!(transcript_on(&database, "backfill"), @"
    Nothing to do: all history is covered.
    --- exit 0
    ");
    assert!(transcript_on(&database, "verify").ends_with("Exact.\n--- exit 0\n"));
}

#[tokio::test]
async fn status_says_what_is_wrong_and_exits_1() {
    let database = with_one_task().await;
    let well = transcript_on(&database, "status");
    assert!(well.contains("Pending         ") && well.ends_with("All is well.\n--- exit 0\n"), "{well}");
    database.pool.execute("alter table public.task_usage disable trigger user").await.unwrap();
    let broken = transcript_on(&database, "status");
    assert!(broken.contains("FAULT: capture: ") && broken.ends_with("--- exit 1\n"), "{broken}");
    assert_eq!(json(&database, "status --json")["well"], false);
}

#[test]
fn what_could_not_be_checked_exits_2() {
    for command in ["verify", "repair", "fold", "backfill", "status", "usage", "migrate up", "migrate status", "token list"] {
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
