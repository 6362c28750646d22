//! Reading a runtime's last 90 days: through the now-view, from the bare rollup, from raw.
use crate::data::RUNTIME;
use crate::{in_turns, report};
use sqlx::{AssertSqlSafe, Executor, PgPool};
use tallybook::testing::TestDatabase;

const RAW: &str = "select (u.created_at at time zone 'UTC')::date, u.provider, u.model, sum(u.input_tokens), sum(u.output_tokens), sum(u.cache_read_tokens),
    sum(u.cache_write_tokens), sum(u.cache_write_1h_tokens), sum(u.cost_usd_ticks), count(*)
  from task_usage u join agent_task_queue t on t.id = u.task_id
  where t.runtime_id = '{runtime}' and u.created_at >= current_date - 89
  group by 1, 2, 3 order by 1 desc";
const ROLLUP: &str =
    "select bucket_date, provider, model, sum(input_tokens), sum(output_tokens), sum(cache_read_tokens), sum(cache_write_tokens),
    sum(cache_write_1h_tokens), sum(cost_usd_ticks), sum(event_count)
  from tallybook.{rollup}
  where runtime_id = '{runtime}' and bucket_date >= current_date - 89
  group by 1, 2, 3 order by 1 desc";

pub(crate) async fn run(db: &TestDatabase) {
    let now_view = ROLLUP.replace("{rollup}", "task_usage_daily_now").replace("{runtime}", RUNTIME);
    let bare = ROLLUP.replace("{rollup}", "task_usage_daily").replace("{runtime}", RUNTIME);
    let raw = RAW.replace("{runtime}", RUNTIME);
    let ratio = in_turns(async || read(&db.pool, &raw).await, async || read(&db.pool, &now_view).await).await;
    report("90 days of a runtime from raw, against the now-view", ratio, "at least 100");
    let ratio = in_turns(async || read(&db.pool, &now_view).await, async || read(&db.pool, &bare).await).await;
    report("90 days of a runtime from the now-view, against the bare rollup, as SQL", ratio, "reported");
}

async fn read(pool: &PgPool, sql: &str) {
    let rows = pool.fetch_all(AssertSqlSafe(sql.to_owned())).await.unwrap();
    assert_eq!(rows.len(), 180, "two models on each of 90 days");
}
