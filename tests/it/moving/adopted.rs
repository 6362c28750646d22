//! Moving over where the source tables are the host's, and the usual design has run on them for long.
use super::{DRIFT, USUAL, answer, differences};
use crate::adoption::dump;
use crate::cli::transcript_on;
use serde_json::json;
use sqlx::{AssertSqlSafe, Executor};
use tallybook::testing::{self, TestDatabase};

/// A host's tables with what the usual design's losses are written with, and the usual design on them.
async fn host() -> TestDatabase {
    let db = testing::empty_database().await;
    for sql in [
        include_str!("../../../src/testing/host.sql"),
        include_str!("../../../src/testing/host_fleet.sql"),
        "alter table public.workspace add slug text;
         alter table public.agent alter runtime_id drop not null;
         alter table public.task_usage add event_key text not null default ''",
        USUAL,
    ] {
        db.pool.execute(sql).await.unwrap();
    }
    db
}

fn told(db: &TestDatabase, arguments: &str) -> String {
    transcript_on(db, arguments)
}

fn assert_exact(db: &TestDatabase) {
    let verified = told(db, "verify");
    assert!(verified.ends_with("Exact.\n--- exit 0\n"), "{verified}");
}

/// The host goes on, and so does the old tick, whoever is in charge.
async fn work(db: &TestDatabase, model: &str) {
    let sql = format!(
        "insert into public.task_usage (task_id, provider, model, input_tokens) select id, 'Anthropic', '{model}', 3 from public.agent_task_queue;
         update public.task_usage set input_tokens = input_tokens + 1 where model = 'opus'"
    );
    db.pool.execute(AssertSqlSafe(sql)).await.unwrap();
}

#[tokio::test]
async fn m09_a_host_moves_over_and_back_and_leaves_as_it_came() {
    let db = host().await;
    db.pool.execute("select public.rollup_task_usage_daily()").await.unwrap();
    sqlx::raw_sql(DRIFT).execute(&mut db.connect().await).await.unwrap();
    let before = dump(&db).await;

    let found = told(&db, "adopt --check");
    assert!(
        found.contains("NOTE      table public.task_usage_daily: it is what the usual design") && found.ends_with("--- exit 0\n"),
        "{found}"
    );
    let adopted = told(&db, "migrate up --adopt");
    assert!(adopted.ends_with("--- exit 0\n"), "{adopted}");
    let report = answer(&db, "adopt usual-design report --json");
    assert_eq!(
        differences(&report),
        [
            json!(["ghost", "2026-02-14", "zoned", 80, 0]),
            json!(["missing", "2026-02-13", "zoned", 0, 80]),
            json!(["missing", "2026-02-12", "late", 0, 60]),
            json!(["ghost", "2026-02-11", "opus", 70, 0]),
            json!(["ghost", "2026-02-10", "opus", 50, 0]),
            json!(["missing", "2026-02-10", "sonnet", 0, 50]),
        ]
    );
    assert_exact(&db);

    for (command, says) in [
        ("adopt usual-design switch", "Tallybook folds by the loop of `tallybook serve`"),
        ("adopt usual-design back", "The usual design is in charge again."),
        ("adopt usual-design switch", "Tallybook folds by the loop of `tallybook serve`"),
    ] {
        let said = told(&db, command);
        assert!(said.starts_with(says) && said.ends_with("--- exit 0\n"), "{said}");
        work(&db, &format!("m{}", said.len())).await;
        db.pool.execute("select public.rollup_task_usage_daily()").await.unwrap();
        db.pool.execute("select tallybook.fold(1, 1000)").await.unwrap();
        assert_exact(&db);
        db.pool.execute("delete from public.task_usage where model like 'm%'").await.unwrap();
    }
    let covered = told(&db, "backfill");
    assert!(covered.ends_with("--- exit 0\n"), "{covered}");
    let dropped = told(&db, "adopt usual-design drop-old --yes");
    assert!(dropped.ends_with("--- exit 0\n"), "{dropped}");
    work(&db, "after").await;
    assert_exact(&db);
    let doctor = told(&db, "doctor");
    assert!(!doctor.contains("DANGER"), "{doctor}");
    let left = told(&db, "migrate down --to 0");
    assert!(left.ends_with("--- exit 0\n"), "{left}");

    // All that went is what was listed.
    let twin = host().await;
    assert_eq!(dump(&twin).await, before);
    for listed in dropped.lines().filter_map(|line| line.strip_prefix("dropped ")) {
        twin.pool.execute(AssertSqlSafe(format!("drop {listed}"))).await.unwrap();
    }
    assert_eq!(dump(&db).await, dump(&twin).await);
}
