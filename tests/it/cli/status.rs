//! `tallybook status`: a screen for whoever is on call, and the same for scripts.
use super::{on, transcript_on};
use serde_json::{Value, json};
use sqlx::Executor;
use tallybook::testing::{self, TestDatabase};

async fn with_one_task() -> TestDatabase {
    let database = testing::database().await;
    database.pool.execute(include_str!("../../../src/testing/one_task.sql")).await.unwrap();
    database
}

/// The screen, without what is never twice the same: times, sizes, versions.
fn screen(database: &TestDatabase) -> String {
    let told = transcript_on(database, "status");
    let ends = ["kB", "MB", "GB", "B"].map(|unit| format!(" {unit}"));
    let lines = told.lines().map(|line| match line.split_once(' ').map_or(line, |(name, _)| name) {
        "As" => "As of         TIME".to_owned(),
        "Database" => format!("Database      PostgreSQL VERSION, SIZE,{}", line.rsplit_once(',').unwrap().1),
        "Schema" => "Schema        N migrations, all in place".to_owned(),
        "Last" if line.contains("FAILED") => format!("{}FAILED AGE ago", line.split_once("FAILED").unwrap().0),
        "Last" if line.contains("ago") => format!("Last fold     TIME, AGE ago{}", line.split_once(" ago").unwrap().1),
        "Pending" if line.contains("captured") => {
            let (before, after) = line.split_once("captured ").unwrap();
            format!("{before}captured AGE{}", &after[after.find(" ago").unwrap()..])
        }
        "Verified" if line.contains("since") => "Verified      every day since TIME, the last at TIME".to_owned(),
        "Transactions" if line.contains("oldest") => "Transactions  1 long one, the oldest for AGE: BACKEND".to_owned(),
        _ => match ends.iter().find(|end| line.ends_with(*end)) {
            Some(end) => {
                let rest = line.strip_suffix(end.as_str()).unwrap().trim_end_matches(|c: char| c.is_ascii_digit());
                format!("{} SIZE", rest.trim_end())
            }
            None => line.to_owned(),
        },
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn answer(database: &TestDatabase) -> Value {
    serde_json::from_slice(&on(database, "status --json").output().unwrap().stdout).unwrap()
}

fn codes(database: &TestDatabase) -> Vec<(String, String)> {
    let document = answer(database);
    let problems = document["problems"].as_array().unwrap().iter();
    problems
        .map(|problem| (problem["severity"].as_str().unwrap().to_owned(), problem["code"].as_str().unwrap().to_owned()))
        .collect()
}

#[tokio::test]
async fn a_screen_without_a_problem_says_so() {
    let database = with_one_task().await;
    insta::assert_snapshot!(screen(&database), @"
    As of         TIME
    Database      PostgreSQL VERSION, SIZE, accepts writes
    Schema        N migrations, all in place
    Capture       intact: every trigger is in place and enabled
    Pending       3 change rows (1 of usage, 1 of tasks, 1 of agents), the oldest captured AGE ago; reads count them in
    Last fold     none yet
    Verified      not yet by a service; `tallybook verify` does it at once
    Backfill      done: all history is covered
    Transactions  none that has been open for long
    Raw usage     - rows (about), SIZE
    
    rollup                   covered from   days covered  keys differing  rows (about)   size
    task_usage_daily         the beginning        1 of 1               0             - SIZE
    task_usage_quarter_hour  the beginning        1 of 1               0             - SIZE
    
    All is well.
    --- exit 0
    ");
    assert!(on(&database, "fold").status().unwrap().success());
    insta::assert_snapshot!(screen(&database), @"
    As of         TIME
    Database      PostgreSQL VERSION, SIZE, accepts writes
    Schema        N migrations, all in place
    Capture       intact: every trigger is in place and enabled
    Pending       nothing
    Last fold     TIME, AGE ago, 2 rollup rows
    Verified      not yet by a service; `tallybook verify` does it at once
    Backfill      done: all history is covered
    Transactions  none that has been open for long
    Raw usage     - rows (about), SIZE
    
    rollup                   covered from   days covered  keys differing  rows (about)   size
    task_usage_daily         the beginning        1 of 1               0             - SIZE
    task_usage_quarter_hour  the beginning        1 of 1               0             - SIZE
    
    All is well.
    --- exit 0
    ");
}

#[tokio::test]
async fn whatever_is_wrong_is_said_with_what_to_do_and_the_worst_first() {
    let database = with_one_task().await;
    database
        .pool
        .execute(
            "update tallybook.usage_change set captured_at = now() - interval '11 minutes';
             insert into tallybook.drift (rollup, day, drifted_keys) values ('task_usage_daily', '2026-01-02', 2);
             select tallybook.record_fold_error('could not extend file: No space left on device');
             update tallybook.rollup set reads_raw = true, covered_from = 'infinity' where name = 'task_usage_daily';
             update tallybook.verify_state set checked_at = now(), checked_since = now() - interval '31 days';
             alter table public.task_usage disable trigger tallybook_update",
        )
        .await
        .unwrap();
    insta::assert_snapshot!(screen(&database), @"
    As of         TIME
    Database      PostgreSQL VERSION, SIZE, accepts writes
    Schema        N migrations, all in place
    Capture       BROKEN: 1 fault
    Pending       3 change rows (1 of usage, 1 of tasks, 1 of agents), the oldest captured AGE ago; reads count them in
    Last fold     none yet; FAILED AGE ago
    Verified      every day since TIME, the last at TIME
    Backfill      1 raw row left, not begun
    Transactions  none that has been open for long
    Raw usage     - rows (about), SIZE
    
    rollup                   covered from                days covered  keys differing  rows (about)   size
    task_usage_daily         nothing yet: read from raw        0 of 1               2             - SIZE
    task_usage_quarter_hour  the beginning                     1 of 1               0             - SIZE
    
    FAULT: changes are not captured, and nothing is folded: trigger tallybook_update on public.task_usage is disabled
      `tallybook doctor` has the SQL that mends it; then `tallybook verify`.
    FAULT: rollup task_usage_daily differs from raw usage in 2 keys on 1 day
      `tallybook doctor` looks for the cause; mend it, then `tallybook repair` rebuilds the days that differ.
    FAULT: the last fold failed: could not extend file: No space left on device
      Mend the cause; reads are exact meanwhile, and grow slower.
    FAULT: changes have waited for 11 minutes to be folded
      See that `tallybook serve` or a scheduler runs; `tallybook fold` does it now. Reads are exact meanwhile, and grow slower.
    WARNING: rollup task_usage_daily lacks 1 of 1 days, which are read from raw
      `tallybook serve` covers them by itself; `tallybook backfill` does so at once.
    WARNING: some days have not been compared with raw usage for 30 days
      See that `tallybook serve` runs and logs no errors; `tallybook verify` compares all of them now.
    --- exit 1
    ");
}

#[tokio::test]
async fn warnings_are_no_faults() {
    let database = with_one_task().await;
    assert!(on(&database, "fold").status().unwrap().success());
    database
        .pool
        .execute(
            "update tallybook.rollup set reads_raw = true, covered_from = '2026-01-03 00:00+00' where name = 'task_usage_daily';
             insert into tallybook.migration (version, description, success, checksum, execution_time) values (9999, 'of tomorrow', true, '', 0)",
        )
        .await
        .unwrap();
    let told = screen(&database);
    assert!(told.ends_with("--- exit 0"), "{told}");
    assert!(told.contains("WARNING: rollup task_usage_daily lacks 1 of 1 days"), "{told}");
    let codes = codes(&database);
    assert_eq!(codes, [("warning", "not_covered"), ("warning", "newer_schema")].map(|(s, c)| (s.to_owned(), c.to_owned())));
}

#[tokio::test]
async fn the_document_keeps_its_shape() {
    let database = with_one_task().await;
    assert!(on(&database, "fold").status().unwrap().success());
    let document = answer(&database);
    assert_eq!((&document["well"], &document["problems"]), (&json!(true), &json!([])));
    insta::assert_snapshot!(shape(&document, ""), @"
    .as_of: string
    .backfill[].covered: boolean
    .backfill[].is_estimate: boolean
    .backfill[].last_slice_at: null
    .backfill[].raw_rows_left: number
    .backfill[].rollup: string
    .backfill[].rows_per_second: null
    .backfill[].seconds_left: null
    .capture_faults[]
    .database_bytes: number
    .is_standby: boolean
    .lag_seconds: number
    .last_run.error: null
    .last_run.failed_at: null
    .last_run.finished_at: string
    .last_run.rows: number
    .last_run.started_at: string
    .long_transactions[]
    .migrations[].description: string
    .migrations[].state: string
    .migrations[].version: number
    .pending.agent_rows: number
    .pending.issue_rows: number
    .pending.oldest_seconds: null
    .pending.sealed_rows: number
    .pending.task_rows: number
    .pending.usage_rows: number
    .problems[]
    .raw_usage.rows_estimated: number
    .raw_usage.size_bytes: number
    .rollups[].covered_from: null
    .rollups[].days: number
    .rollups[].drifted_days: number
    .rollups[].drifted_keys: number
    .rollups[].name: string
    .rollups[].rows_estimated: number
    .rollups[].size_bytes: number
    .rollups[].uncovered: boolean
    .rollups[].uncovered_days: number
    .server_version: string
    .verification.checked_at: null
    .verification.checked_since: null
    .verification.coverage: number
    .verification.drift[]
    .verification.oldest_check_seconds: null
    .verification.reached: null
    .well: boolean
    ");
}

/// Every path of the document and the type of what is there; of lists, what is in the first element.
fn shape(value: &Value, path: &str) -> String {
    match value {
        Value::Object(fields) => fields.iter().map(|(name, value)| shape(value, &format!("{path}.{name}"))).collect(),
        Value::Array(elements) => match elements.first() {
            Some(element) => shape(element, &format!("{path}[]")),
            None => format!("{path}[]\n"),
        },
        Value::Null => format!("{path}: null\n"),
        Value::Bool(_) => format!("{path}: boolean\n"),
        Value::Number(_) => format!("{path}: number\n"),
        Value::String(_) => format!("{path}: string\n"),
    }
}
