//! Reading a runtime's last 90 days: through the now-view, from the bare rollup, from raw; as SQL, and as a whole HTTP answer.
use crate::data::RUNTIME;
use crate::{in_turns, report};
use sqlx::{AssertSqlSafe, Executor, PgPool};
use tallybook::access::{self, Scope};
use tallybook::clock::Clock;
use tallybook::config::Place;
use tallybook::service::{Service, Settings};
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
    http(db).await;
}

/// The service answers from the now-view, and, in turns, from a view of the same name that shows the bare rollup.
async fn http(db: &TestDatabase) {
    const REQUESTS: usize = 200;
    let now_view: String = sqlx::query_scalar("select pg_get_viewdef('tallybook.task_usage_daily_now'::regclass)")
        .fetch_one(&db.pool)
        .await
        .unwrap();
    let now_view = format!("create or replace view tallybook.task_usage_daily_now as {now_view}");
    let bare = "create or replace view tallybook.task_usage_daily_now as select * from tallybook.task_usage_daily";
    let reader = access::New { name: "bench".into(), workspace: None, scopes: vec![Scope::Read], expires_at: None };
    let (token, _) = access::create(&db.pool, &Clock::system(), reader).await.unwrap();
    let service = Service::start(Settings::new(Place::Url(Box::new(db.options())), ([127, 0, 0, 1], 0).into())).await.unwrap();
    let url = format!("http://{}/v1/runtimes/{RUNTIME}/usage?days=90", service.address);
    let agent: ureq::Agent = ureq::Agent::config_builder().build().into();
    let ask = async |view: &str| {
        db.pool.execute(AssertSqlSafe(view.to_owned())).await.unwrap();
        let (agent, url, authorization) = (agent.clone(), url.clone(), format!("Bearer {}", token.reveal()));
        let asking = move || {
            for _ in 0..REQUESTS {
                let mut answer = agent.get(&url).header("authorization", &authorization).call().unwrap();
                let answer: serde_json::Value = answer.body_mut().read_json().unwrap();
                assert_eq!(answer["items"].as_array().unwrap().len(), 180, "two models on each of 90 days");
            }
        };
        tokio::task::spawn_blocking(asking).await.unwrap();
    };
    let ratio = in_turns(async || ask(&now_view).await, async || ask(bare).await).await;
    report("90 days of a runtime from the now-view, against the bare rollup, as 200 HTTP answers", ratio, "at most 1.3");
    service.stop().await.unwrap();
}

async fn read(pool: &PgPool, sql: &str) {
    let rows = pool.fetch_all(AssertSqlSafe(sql.to_owned())).await.unwrap();
    assert_eq!(rows.len(), 180, "two models on each of 90 days");
}
