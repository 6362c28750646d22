//! Fold and backfill.
use crate::{in_turns, report, timed};
use sqlx::{AssertSqlSafe, Executor, PgPool, Row};
use tallybook::rollup::{backfill, verify};
use tallybook::testing::TestDatabase;

/// A task that every history has.
const TASKS: i64 = 100;

/// Covers the history, and says how that compares with one bare `GROUP BY` over the same joined rows.
pub(crate) async fn backfill(db: &TestDatabase, rows: i64) {
    let covering = timed(&mut async || {
        backfill::run(&db.pool, backfill::SLICE_ROWS, |_| {}).await.unwrap();
    })
    .await;
    db.pool.execute("vacuum analyze").await.unwrap();
    let grouping = timed(&mut async || {
        db.pool.fetch_all("set max_parallel_workers_per_gather = 0; select count(*) from (
            select date_bin('15 minutes', u.created_at, '0001-01-01 00:00+00'), a.workspace_id, t.runtime_id, t.agent_id, i.project_id, u.provider, u.model,
              sum(u.input_tokens), sum(u.output_tokens), sum(u.cache_read_tokens)
            from task_usage u join agent_task_queue t on t.id = u.task_id join agent a on a.id = t.agent_id left join issue i on i.id = t.issue_id
            group by 1, 2, 3, 4, 5, 6, 7) x").await.unwrap();
    })
    .await;
    report(&format!("backfill of both rollups over {rows} rows, against one GROUP BY of them"), (covering, grouping), "reported");
    assert!(verify::verify(&db.pool).await.unwrap().exact(), "a history of {rows} rows is covered exactly");
}

/// A fold of 200 fresh rows, beside ten times as much history.
pub(crate) async fn fold(small: &TestDatabase, large: &TestDatabase) {
    let ratio = in_turns(async || fold_fresh(&large.pool).await, async || fold_fresh(&small.pool).await).await;
    report("correcting and folding 200 rows, with ten times the history", ratio, "about 1");
    println!(
        "buffers that such a fold touches: {} with ten times the history, {} without",
        buffers(&large.pool).await,
        buffers(&small.pool).await
    );
}

async fn fold_fresh(pool: &PgPool) {
    correct(pool).await;
    let touched: i64 = sqlx::query_scalar("select tallybook.fold(25, 50000)").fetch_one(pool).await.unwrap();
    assert!(touched > 0, "the corrections were folded");
}

async fn correct(pool: &PgPool) {
    let sql = format!(
        "update task_usage set input_tokens = input_tokens + 1 where task_id in (
           select ('00000000-0000-4000-8006-' || lpad(to_hex(i), 12, '0'))::uuid from generate_series(1, {TASKS}) i)"
    );
    pool.execute(AssertSqlSafe(sql)).await.unwrap();
}

async fn buffers(pool: &PgPool) -> i64 {
    correct(pool).await;
    let plan: serde_json::Value =
        pool.fetch_one("explain (analyze, buffers, format json) select tallybook.fold(25, 50000)").await.unwrap().get(0);
    plan[0]["Plan"]["Shared Hit Blocks"].as_i64().unwrap() + plan[0]["Plan"]["Shared Read Blocks"].as_i64().unwrap()
}
