//! Tables that logical replication fills: captured by row, by triggers that fire for that, too.
use super::{LOOSE, TestDatabase, WRITERS, assert_healthy, differing, host, read_from, run};
use sqlx::{AssertSqlSafe, Executor};
use std::time::Duration;
use tallybook::adopt::{self, Patience, Standing};
use tallybook::db::migrate;
use tallybook::query::Source;
use tallybook::rollup::{backfill, fold};
use tallybook::testing;
use uuid::Uuid;

/// Has `copy` follow `source`, from what it holds now on.
async fn subscribe(source: &TestDatabase, copy: &TestDatabase, name: &str) {
    let database: String = sqlx::query_scalar("select current_database()::text").fetch_one(&source.pool).await.unwrap();
    let url = std::env::var(testing::URL_VARIABLE).unwrap();
    let address = format!("{}/{database}", url.rsplit_once('/').unwrap().0);
    run(source, "create publication everything for all tables; alter table public.task_usage replica identity full").await;
    // Of one server the slot has to be made beforehand: else the two sessions wait for each other.
    run(source, &format!("select pg_create_logical_replication_slot('{name}', 'pgoutput')")).await;
    run(copy, &format!("create subscription {name} connection '{address}' publication everything with (create_slot = false, slot_name = {name})")).await;
}

/// Waits until the copy has all that the source has.
async fn caught_up(source: &TestDatabase, copy: &TestDatabase) {
    const DIGEST: &str = "select md5(string_agg(row::text, '|' order by row::text)) from (
        select to_jsonb(u) as row from public.task_usage u union all select to_jsonb(t) from public.agent_task_queue t
        union all select to_jsonb(a) from public.agent a union all select to_jsonb(i) from public.issue i) x";
    loop {
        let there: String = sqlx::query_scalar(DIGEST).fetch_one(&source.pool).await.unwrap();
        let here: Option<String> = sqlx::query_scalar(DIGEST).fetch_one(&copy.pool).await.unwrap();
        if here == Some(there) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn m13_what_logical_replication_applies_is_captured() {
    let source = host(LOOSE).await;
    let copy = testing::empty_database().await;
    copy.pool.execute(LOOSE).await.unwrap();
    let name = format!("copy_{}", Uuid::new_v4().simple());
    subscribe(&source, &copy, &name).await;
    caught_up(&source, &copy).await;

    let report = adopt::check(&copy.pool).await.unwrap();
    assert!(report.tables.iter().all(|table| table.is_replicated && table.captured_by == "row"), "{report:#?}");
    migrate::up_adopting_with(&copy.pool, &crate::mutations::migrations()).await.unwrap();
    let adopted = adopt::install(&copy.pool, None, Patience::default(), drop).await.unwrap();
    assert_eq!(adopted.standing, Standing::Adopted);
    backfill::run(&copy.pool, 1000, |_| {}).await.unwrap();
    for _ in 0..3 {
        for writer in 0..WRITERS {
            source
                .pool
                .execute(AssertSqlSafe(format!("select count(host.write({writer})) from generate_series(1, 50)")))
                .await
                .unwrap();
        }
        caught_up(&source, &copy).await;
        assert_eq!(differing(&copy.pool).await.unwrap(), 0);
        fold::drain(&copy.pool).await.unwrap();
        assert_eq!(differing(&copy.pool).await.unwrap(), 0);
    }
    // So is what a session writes that says it is a replica.
    run(
        &copy,
        "begin; set local session_replication_role = replica; delete from public.task_usage where model = 'model-1'; commit",
    )
    .await;
    assert_eq!(differing(&copy.pool).await.unwrap(), 0);
    assert_healthy(&copy).await;
    // Nor is anything folded beside a trigger that would not fire.
    run(&copy, "alter table public.task_usage enable trigger tallybook_insert").await;
    let told = fold::drain(&copy.pool).await.unwrap_err().to_string();
    let mends = "select tallybook.capture_usage_by('row')";
    assert!(told.contains(&format!("trigger tallybook_insert on public.task_usage misses rows: run `{mends}`")), "{told}");
    assert_eq!(read_from(&copy).await, Source::Raw);
    run(&copy, mends).await;
    assert_eq!(read_from(&copy).await, Source::Daily);
    fold::drain(&copy.pool).await.unwrap();
    run(
        &copy,
        &format!("alter subscription {name} disable; alter subscription {name} set (slot_name = none); drop subscription {name}"),
    )
    .await;
    let freed =
        format!("select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = '{name}' and not active");
    while source.pool.execute(AssertSqlSafe(freed.clone())).await.unwrap().rows_affected() == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    adopt::remove(&copy.pool, 0, Patience::default(), drop).await.unwrap();
}
