//! Moving over from the usual design: found in its variants, its drift listed key by key, the schedule handed over and back, and its end.
mod adopted;
mod cron;
mod drift;

use crate::cli::{on, transcript_on};
use serde_json::{Value, json};
use sqlx::Executor;
use tallybook::db::pool::PgPool;
use tallybook::testing::{self, TestDatabase};

const USUAL: &str = include_str!("usual.sql");
const DRIFT: &str = include_str!("drift.sql");

/// A database that runs the usual design, and Tallybook beside it.
async fn usual() -> TestDatabase {
    let db = testing::database().await;
    db.pool.execute(USUAL).await.unwrap();
    db.pool.execute(include_str!("../../../src/testing/one_task.sql")).await.unwrap();
    db.pool.execute("update public.task_usage set updated_at = now() - interval '2 hours'").await.unwrap();
    db
}

fn answer(db: &TestDatabase, arguments: &str) -> Value {
    serde_json::from_slice(&on(db, arguments).output().unwrap().stdout).unwrap()
}

/// What a report says of each key that differs: how, which, and its input tokens in the table and in the raw rows.
fn differences(report: &Value) -> Vec<Value> {
    let found = report["comparison"]["differences"].as_array().unwrap().iter();
    found
        .map(|d| json!([d["kind"], d["bucket_date"], d["model"], d["table"]["input_tokens"], d["raw"]["input_tokens"]]))
        .collect()
}

/// Everything in public, as the catalogs have it, and every row of the old design's tables.
async fn public(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar(
        "select format('%s %s', c.relkind, c.relname) from pg_class c where c.relnamespace = 'public'::regnamespace
         union all select pg_get_triggerdef(t.oid) from pg_trigger t where not t.tgisinternal and t.tgname not like 'tallybook%'
         union all select pg_get_functiondef(p.oid) from pg_proc p where p.pronamespace = 'public'::regnamespace
         union all select format('%s.%s', a.attrelid::regclass, a.attname) from pg_attribute a join pg_class c on c.oid = a.attrelid
           where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and a.attnum > 0 and not a.attisdropped
         union all select u::text from public.task_usage u
         order by 1",
    )
    .fetch_all(pool)
    .await
    .unwrap()
}

#[tokio::test]
async fn what_does_not_run_it_is_told_so() {
    let db = testing::database().await;
    for command in ["report", "switch"] {
        let told = transcript_on(&db, &format!("adopt usual-design {command}"));
        assert!(
            told.contains("this database does not run the usual design: there is no table public.task_usage_daily with its key"),
            "{told}"
        );
        assert!(told.ends_with("--- exit 2\n"), "{told}");
    }
    // A view by the name, as somebody may have made for old readers, is none either.
    db.pool.execute("create view public.task_usage_daily as select * from tallybook.task_usage_daily_now").await.unwrap();
    assert!(transcript_on(&db, "adopt usual-design report").ends_with("--- exit 2\n"));
    let told = transcript_on(&db, "adopt usual-design back");
    assert!(
        told.contains("was not switched over, so there is nothing to go back to") && told.ends_with("--- exit 2\n"),
        "{told}"
    );
}

#[tokio::test]
async fn variants_are_recognised_and_named() {
    let db = usual().await;
    db.pool
        .execute(
            "alter table public.task_usage_daily drop constraint task_usage_daily_pkey, drop column event_count, add column cost numeric,
               alter provider type varchar(40), alter bucket_date type timestamp;
             create unique index of_their_own on public.task_usage_daily (workspace_id, runtime_id, bucket_date, model, provider);
             drop table public.task_usage_rollup_state;
             drop function public.task_usage_rollup_lag_seconds();
             alter trigger trg_atq_dirty_rollup on public.agent_task_queue rename to zz_queue;
             drop trigger trg_tu_dirty_rollup on public.task_usage;
             alter function public.queue_usage_day() rename to anything",
        )
        .await
        .unwrap();
    let report = answer(&db, "adopt usual-design report --json");
    let variations: Vec<&str> = report["design"]["variations"].as_array().unwrap().iter().map(|v| v.as_str().unwrap()).collect();
    assert_eq!(
        variations,
        [
            "public.task_usage_daily has no column event_count",
            "there is no table public.task_usage_rollup_state",
            "there is no function public.task_usage_rollup_lag_seconds",
            "no trigger on public.task_usage queues what changes",
        ]
    );
    let names: Vec<&str> = report["design"]["objects"].as_array().unwrap().iter().map(|o| o["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"zz_queue on public.agent_task_queue") && names.contains(&"public.anything()"), "{names:?}");
    assert_eq!((&report["exact"], &report["comparison"]["missing"]), (&Value::Bool(false), &Value::from(1)));
    db.pool.execute("drop index public.of_their_own").await.unwrap();
    let told = transcript_on(&db, "adopt usual-design report");
    assert!(told.contains("  unusual: public.task_usage_daily has no unique key of its five key columns\n"), "{told}");
}

#[tokio::test]
async fn without_pg_cron_the_loop_takes_over_and_the_way_back_is_open() {
    let db = usual().await;
    db.pool.execute("select public.rollup_task_usage_daily()").await.unwrap();
    let before = public(&db.pool).await;
    insta::assert_snapshot!(transcript_on(&db, "adopt usual-design drop-old --yes"), @"
    --- standard error
    tallybook: the usual design is in charge; run `tallybook adopt usual-design switch` before its objects are dropped
    --- exit 2
    ");
    insta::assert_snapshot!(transcript_on(&db, "adopt usual-design switch"), @"
    Tallybook folds by the loop of `tallybook serve`; stop what else called the old tick.
    --- exit 0
    ");
    assert!(
        transcript_on(&db, "adopt usual-design switch").starts_with("Nothing to do: the schedule was switched over before.\n")
    );
    let told = transcript_on(&db, "adopt usual-design switch --to pg-cron");
    assert!(told.starts_with("Nothing to do"), "{told}");
    let refused = transcript_on(&db, "migrate down --to 11");
    assert!(refused.contains("the jobs of the usual design are disabled"), "{refused}");
    assert!(on(&db, "migrate up").status().unwrap().success());
    assert_eq!(public(&db.pool).await, before, "the old objects stay");
    insta::assert_snapshot!(transcript_on(&db, "adopt usual-design back"), @"
    The usual design is in charge again.
    --- exit 0
    ");
    assert_eq!(public(&db.pool).await, before);
    // And it works, with what was queued meanwhile.
    db.pool.execute("update public.agent_task_queue set runtime_id = null").await.unwrap();
    db.pool.execute("update public.task_usage_daily_dirty set enqueued_at = now() - interval '10 minutes'").await.unwrap();
    db.pool.execute("select public.rollup_task_usage_daily()").await.unwrap();
    let left: i64 = sqlx::query_scalar("select count(*) from public.task_usage_daily").fetch_one(&db.pool).await.unwrap();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn what_was_listed_is_dropped_and_nothing_else() {
    let db = usual().await;
    db.pool.execute("create index their_own on public.task_usage (updated_at, model)").await.unwrap();
    assert!(on(&db, "adopt usual-design switch").status().unwrap().success());
    let before = public(&db.pool).await;
    let listed = transcript_on(&db, "adopt usual-design drop-old");
    insta::assert_snapshot!(listed, @"
    would drop trigger trg_atq_dirty_rollup on public.agent_task_queue
    would drop trigger trg_tu_dirty_rollup on public.task_usage
    would drop function public.queue_task_days()
    would drop function public.queue_usage_day()
    would drop function public.rollup_task_usage_daily()
    would drop function public.rollup_task_usage_daily_window(p_from timestamp with time zone, p_to timestamp with time zone)
    would drop function public.task_usage_rollup_lag_seconds()
    would drop table public.task_usage_daily
    would drop table public.task_usage_daily_dirty
    would drop table public.task_usage_rollup_state
    would drop index public.idx_task_usage_created_at_legacy
    would drop index public.idx_task_usage_updated_at
    Nothing was dropped; --yes does that.
    --- exit 0
    ");
    assert_eq!(public(&db.pool).await, before);

    // Somebody still reads its table: all stays.
    db.pool.execute("create view public.dashboard as select * from public.task_usage_daily").await.unwrap();
    let refused = transcript_on(&db, "adopt usual-design drop-old --yes");
    assert!(refused.contains("nothing was dropped: cannot drop table task_usage_daily because other objects depend on it (view dashboard depends on table task_usage_daily)"), "{refused}");
    db.pool.execute("drop view public.dashboard").await.unwrap();
    assert_eq!(public(&db.pool).await, before);

    // A writer is in the way for a while: it is waited for, and nobody waits behind us.
    let mut writer = db.connect().await;
    writer.execute("begin; update public.task_usage set input_tokens = input_tokens + 1").await.unwrap();
    let mut dropping = on(&db, "adopt usual-design drop-old --yes").stdout(std::process::Stdio::piped()).spawn().unwrap();
    let tried = "select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like 'drop trigger%')";
    while !sqlx::query_scalar::<_, bool>(tried).fetch_one(&db.pool).await.unwrap() {
        assert_eq!(dropping.try_wait().unwrap(), None);
    }
    writer.execute("commit").await.unwrap();
    let dropped = dropping.wait_with_output().unwrap();
    assert!(dropped.status.success());
    let dropped = String::from_utf8(dropped.stdout).unwrap();
    let wanted = listed.split("Nothing was dropped").next().unwrap().replace("would drop", "dropped");
    assert_eq!(dropped, format!("{wanted}The usual design is gone. Raw usage and every column of it stay.\n"));
    let after = public(&db.pool).await;
    assert!(after.iter().any(|line| line == "i their_own") && after.iter().any(|line| line == "task_usage.updated_at"));
    for word in ["task_usage_daily", "rollup_state", "dirty"] {
        assert!(!after.iter().any(|line| line.contains(word)), "{word}");
    }
    let told = transcript_on(&db, "adopt usual-design back");
    assert!(told.contains("nothing to go back to"), "{told}");
    assert!(transcript_on(&db, "verify").ends_with("Exact.\n--- exit 0\n"));
}
