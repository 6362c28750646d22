//! The host goes on migrating its tables: what can be followed is followed, what cannot is said, and no write of its fails.
use super::{LOOSE, PARTITIONED, PLATFORM, TestDatabase, adopted, assert_exact, assert_healthy, run, strings};
use sqlx::Executor;
use tallybook::adopt;
use tallybook::doctor;
use tallybook::query;
use tallybook::rollup::{backfill, fold, repair, verify};
use tallybook::testing;
use uuid::Uuid;

const BREAKS: &str = "select source from tallybook.capture_break order by 1";
const COVERED: &str = "select name from tallybook.rollup where covered_from = '-infinity' order by 1";
/// A row of usage, written as the host's new code does.
const WRITE: &str = "insert into public.task_usage (id, task_id, provider, model, tokens_in, created_at)
    select gen_random_uuid(), id, 'Claude', 'new', 7, '2026-01-03' from public.agent_task_queue limit 1";

/// Adopted, and wholly covered.
async fn covered(schema: &'static str) -> TestDatabase {
    let db = adopted(schema).await;
    backfill::run(&db.pool, 1000, |_| {}).await.unwrap();
    assert_eq!(strings(&db, COVERED).await.len(), 2);
    db
}

async fn refused(db: &TestDatabase) -> sqlx::Error {
    db.pool.execute("select * from tallybook.task_usage_daily_now").await.unwrap_err()
}

async fn codes(db: &TestDatabase) -> Vec<String> {
    doctor::examine(&db.pool).await.unwrap().dangers().map(|finding| finding.code.clone()).collect()
}

#[tokio::test]
async fn m11_a_renamed_column_fails_no_write_and_is_followed() {
    for form in ["statement", "row"] {
        let db = covered(LOOSE).await;
        run(&db, &format!("select tallybook.capture_usage_by('{form}')")).await;
        run(&db, "alter table public.task_usage rename input_tokens to tokens_in").await;
        run(&db, WRITE).await;
        run(&db, "update public.task_usage set tokens_in = tokens_in + 1 where model = 'new'; delete from public.task_usage where model = 'model-0'").await;
        assert_eq!(strings(&db, BREAKS).await, ["task_usage"; 2], "each transaction says so once");
        let told = refused(&db).await.to_string();
        assert!(told.contains("lacks changes that were not captured") && told.contains("input_tokens"), "{told}");
        assert!(codes(&db).await.contains(&"capture_broken".to_owned()));
        let fold = sqlx::query_scalar::<_, String>("select tallybook.capture_faults()").fetch_all(&db.pool).await.unwrap();
        assert!(fold[0].starts_with("changes of public.task_usage have not been captured since "), "{fold:?}");
        // Whoever folds mends it.
        fold::tick(&db.pool).await.unwrap();
        assert_eq!(strings(&db, BREAKS).await, [""; 0]);
        assert_eq!(strings(&db, COVERED).await, [""; 0], "all days are read from raw");
        run(&db, WRITE).await;
        assert!(verify::verify(&db.pool).await.unwrap().exact());
        backfill::run(&db.pool, 1000, |_| {}).await.unwrap();
        run(&db, WRITE).await;
        assert!(verify::verify(&db.pool).await.unwrap().exact());
        let sums: (i64, i64) = sqlx::query_as(
            "select (select sum(input_tokens)::bigint from tallybook.task_usage_daily_now),
               (select sum(tokens_in)::bigint from public.task_usage where task_id in (select id from public.agent_task_queue))",
        )
        .fetch_one(&db.pool)
        .await
        .unwrap();
        assert_eq!(sums.0, sums.1);
        assert_healthy(&db).await;
    }
}

#[tokio::test]
async fn m11_a_rename_that_is_followed_in_its_transaction_misses_nothing() {
    let db = covered(LOOSE).await;
    for (table, from, to) in [
        ("task_usage", "input_tokens", "tokens_in"),
        ("task_usage", "created_at", "happened"),
        ("task_usage", "task_id", "task"),
        ("agent_task_queue", "agent_id", "worker"),
        ("agent", "workspace_id", "tenant"),
        ("issue", "project_id", "board"),
    ] {
        run(&db, &format!("begin; alter table public.{table} rename {from} to {to}; select tallybook.follow_sources(); commit"))
            .await;
        run(&db, &format!("update public.{table} set {to} = {to}; delete from public.{table} where id in (select id from public.{table} limit 1)")).await;
        assert!(verify::verify(&db.pool).await.unwrap().exact(), "{from}");
    }
    assert_eq!(strings(&db, BREAKS).await, [""; 0]);
    assert_eq!(strings(&db, COVERED).await.len(), 2, "nothing was missed");
    fold::drain(&db.pool).await.unwrap();
    assert!(verify::verify(&db.pool).await.unwrap().exact());
    assert_healthy(&db).await;
}

#[tokio::test]
async fn m11_renamed_keys_fail_no_write_and_are_followed() {
    let db = covered(PLATFORM).await;
    run(&db, "alter table public.agent_task_queue rename agent_id to worker; alter table public.issue rename project_id to board; alter table public.agent rename workspace_id to tenant").await;
    run(&db, "update public.agent_task_queue set worker = host.any_of(3, 5), runtime_id = host.any_of(2, 3)").await;
    run(&db, "update public.issue set board = host.id(5, case board when host.id(5, 1) then 2 else 1 end); update public.agent set tenant = host.id(1, case tenant when host.id(1, 1) then 2 else 1 end)").await;
    assert_eq!(strings(&db, BREAKS).await, ["agent", "agent_task_queue", "issue"]);
    let followed = adopt::refresh(&db.pool).await.unwrap();
    assert_eq!(followed.changes.len(), 3);
    assert!(followed.is_uncovered);
    backfill::run(&db.pool, 1000, |_| {}).await.unwrap();
    run(&db, "delete from public.agent_task_queue where worker = host.id(3, 1)").await;
    assert!(verify::verify(&db.pool).await.unwrap().exact());
    assert_eq!(adopt::refresh(&db.pool).await.unwrap(), adopt::Follow::default());
    // What a trigger's condition names cannot be dropped by chance.
    let refused = db.pool.execute("alter table public.agent_task_queue drop column runtime_id").await.unwrap_err();
    assert_eq!(refused.as_database_error().unwrap().code().as_deref(), Some("2BP01"));
}

#[tokio::test]
async fn m11_a_read_of_the_service_follows_a_renamed_column_itself() {
    let db = covered(PLATFORM).await;
    let usage = async || {
        let of_task: Uuid =
            sqlx::query_scalar("select task_id from public.task_usage order by id limit 1").fetch_one(&db.pool).await.unwrap();
        let answer = query::task_usage(&db.pool, None, of_task).await.unwrap().unwrap();
        serde_json::to_value(answer.total).unwrap()
    };
    let before = usage().await;
    run(&db, "alter table public.task_usage rename input_tokens to tokens_in").await;
    assert_eq!(usage().await, before);
    assert_eq!(strings(&db, "select tallybook.source_changes()").await, [""; 0]);
    run(&db, WRITE).await;
    assert!(verify::verify(&db.pool).await.unwrap().exact());
    assert_healthy(&db).await;
}

#[tokio::test]
async fn m11_a_dropped_column_fails_no_write() {
    let db = covered(LOOSE).await;
    // One that need not be there counts as nothing from then on.
    run(&db, "alter table public.task_usage drop cache_read_tokens, drop cost_usd_ticks; delete from public.task_usage where model = 'model-0'").await;
    assert_eq!(strings(&db, BREAKS).await, ["task_usage"]);
    fold::tick(&db.pool).await.unwrap();
    assert_exact(&db).await;
    backfill::run(&db.pool, 1000, |_| {}).await.unwrap();
    assert_exact(&db).await;
    // It may come again.
    run(&db, "alter table public.task_usage add cost_usd_ticks bigint default 5").await;
    assert_eq!(strings(&db, "select tallybook.source_changes()").await, ["public.task_usage has a column cost_usd_ticks now"]);
    adopt::follow(&db.pool).await.unwrap();
    fold::tick(&db.pool).await.unwrap();
    assert_exact(&db).await;
    // One that is needed has to.
    run(&db, "alter table public.task_usage drop output_tokens; delete from public.task_usage where model = 'model-1'").await;
    let told = fold::tick(&db.pool).await.unwrap_err().to_string();
    assert!(told.contains("a column that is needed is gone: public.task_usage (output_tokens)"), "{told}");
    assert!(codes(&db).await.contains(&"capture_broken".to_owned()));
    run(&db, "alter table public.task_usage add output_tokens bigint; update public.task_usage set output_tokens = 1").await;
    fold::tick(&db.pool).await.unwrap();
    assert_exact(&db).await;
    backfill::run(&db.pool, 1000, |_| {}).await.unwrap();
    assert_exact(&db).await;
    assert_healthy(&db).await;
}

#[tokio::test]
async fn m11_retyped_counts_are_followed_and_verified_anew() {
    for form in ["statement", "row"] {
        let db = covered(PLATFORM).await;
        run(&db, &format!("select tallybook.capture_usage_by('{form}')")).await;
        // A session that has captured before goes on, with whatever it has planned.
        let mut host = db.connect().await;
        host.execute("select count(host.write(1)) from generate_series(1, 40)").await.unwrap();
        run(&db, "drop view public.usage_by_task; alter table public.task_usage alter input_tokens type bigint, alter output_tokens type numeric(30, 3)").await;
        host.execute("select count(host.write(1)) from generate_series(1, 40)").await.unwrap();
        host.execute("update public.task_usage set input_tokens = 5000000000, output_tokens = 'NaN' where id in (select id from public.task_usage limit 1)").await.unwrap();
        fold::tick(&db.pool).await.unwrap();
        assert!(verify::verify(&db.pool).await.unwrap().exact(), "{form}");
        // Values that the change of type makes anew are seen by no trigger.
        backfill::run(&db.pool, 1000, |_| {}).await.unwrap();
        adopt::follow(&db.pool).await.unwrap();
        run(&db, "update tallybook.verify_state set checked_since = now(), due_at = now() + interval '30 minutes'").await;
        run(&db, "alter table public.task_usage alter input_tokens type numeric using input_tokens * 2").await;
        adopt::follow(&db.pool).await.unwrap();
        let due = strings(&db, "select due_at::text from tallybook.verify_state where checked_since is null").await;
        assert_eq!(due, ["-infinity"]);
        assert!(!verify::verify(&db.pool).await.unwrap().exact());
        repair::repair(&db.pool).await.unwrap();
        assert!(verify::verify(&db.pool).await.unwrap().exact());
    }
}

#[tokio::test]
async fn m13_partitions_that_come_and_go_are_found_and_mended() {
    let db = covered(PARTITIONED).await;
    run(
        &db,
        "create table public.task_usage_2030 partition of public.task_usage for values from ('2030-01-01') to ('2031-01-01')",
    )
    .await;
    let found = doctor::examine(&db.pool).await.unwrap();
    let truncate = found.findings.iter().find(|finding| finding.code == "partition_truncate").unwrap();
    assert_eq!(truncate.place, "table public.task_usage_2030");
    run(&db, truncate.sql.as_deref().unwrap()).await;
    let row = "insert into public.task_usage (id, task_id, provider, model, input_tokens, created_at) select gen_random_uuid(), id, 'Claude', 'm', 9, '2030-02-03' from public.agent_task_queue";
    run(&db, row).await;
    assert_exact(&db).await;
    // What goes past the parents.
    for deleted in ["public.task_usage_2030", "public.agent_task_queue_1"] {
        run(&db, &format!("delete from {deleted} where id in (select id from {deleted} order by id limit 2)")).await;
        assert_exact(&db).await;
    }
    for refused in ["public.task_usage_2030", "public.task_usage_2026_01_a", "public.task_usage", "public.agent_task_queue_1"] {
        let told = db.pool.execute(sqlx::AssertSqlSafe(format!("truncate {refused} cascade"))).await.unwrap_err().to_string();
        assert!(told.contains("is refused"), "{told}");
    }
    adopt::follow(&db.pool).await.unwrap();
    run(&db, "alter table public.task_usage detach partition public.task_usage_2030").await;
    assert_eq!(codes(&db).await, ["partition_detached"]);
    assert!(!verify::verify(&db.pool).await.unwrap().exact());
    adopt::follow(&db.pool).await.unwrap();
    repair::repair(&db.pool).await.unwrap();
    assert_exact(&db).await;
    run(
        &db,
        "alter table public.task_usage attach partition public.task_usage_2030 for values from ('2030-01-01') to ('2031-01-01')",
    )
    .await;
    assert_eq!(codes(&db).await, ["partition_attached"]);
    adopt::follow(&db.pool).await.unwrap();
    repair::repair(&db.pool).await.unwrap();
    assert_exact(&db).await;
    assert_healthy(&db).await;
}

#[tokio::test]
async fn m13_nothing_is_folded_of_a_table_that_has_become_a_partition_until_its_triggers_are_made_anew() {
    for table in ["task_usage", "agent_task_queue", "agent", "issue"] {
        let db = testing::database().await;
        run(&db, include_str!("../../../src/testing/one_task.sql")).await;
        run(
            &db,
            &format!(
                "create table public.parent (like public.{table}) partition by list (id); alter table public.parent attach partition public.{table} default"
            ),
        )
        .await;
        let told = fold::drain(&db.pool).await.unwrap_err().to_string();
        let (_, after) = told.split_once(&format!("trigger tallybook_delete on public.{table} misses rows: run `")).expect(&told);
        run(&db, after.split('`').next().unwrap()).await;
        run(&db, "delete from public.parent").await;
        fold::drain(&db.pool).await.unwrap();
        assert!(verify::verify(&db.pool).await.unwrap().exact(), "{table}");
    }
}
