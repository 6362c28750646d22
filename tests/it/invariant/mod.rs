//! I1 as a property: after every step of a random history, every now-view equals the model and the sums of the raw rows.
mod history;
mod world;

use crate::mutations::seeds;
use crate::property::{cases, for_all};
use history::{Step, Writer, step};
use proptest::prelude::*;
use sqlx::{Executor, PgConnection, Row};
use std::cell::Cell;
use tallybook::rollup::verify;
use tallybook::testing::{
    self,
    results::{self, ONE_SESSION},
};
use world::Sums;

const DAILY: &str = "select bucket_date::text, workspace_id::text, runtime_id::text, provider, model,
    array[input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, cost_usd_ticks, uncosted_input_tokens,
      uncosted_output_tokens, uncosted_cache_read_tokens, uncosted_cache_write_tokens, uncosted_cache_write_1h_tokens, event_count]::text[] as sums
  from tallybook.task_usage_daily_now";
const QUARTER_HOURS: &str = "select bucket_start::text, workspace_id::text, runtime_id::text, agent_id::text, project_id::text, provider, model,
    array[input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, cost_usd_ticks, uncosted_input_tokens,
      uncosted_output_tokens, uncosted_cache_read_tokens, uncosted_cache_write_tokens, uncosted_cache_write_1h_tokens, event_count]::text[] as sums
  from tallybook.task_usage_quarter_hour_now";
/// Both plans of pending, whichever the backlog's size would choose.
const PLANS_DIFFER: &str = "with plans as (
    select 1 as plan, p.* from tallybook.mark() m, tallybook.pending_by_lookup(m.floor, m.open) p
    union all select -1, p.* from tallybook.mark() m, tallybook.pending_by_join(m.floor, m.open) p)
  select count(*) from (
    select 1 from plans group by bucket_start, workspace_id, runtime_id, agent_id, project_id, provider, model
    having sum(plan * input_tokens) <> 0 or sum(plan * event_count) <> 0 or sum(plan * cost_usd_ticks) <> 0 or sum(plan * uncosted_output_tokens) <> 0) x";

#[test]
fn every_now_view_equals_raw_after_every_step() {
    let seed = results::seed();
    let (histories, steps) = (Cell::new(0), Cell::new(0));
    let strategy = (any::<bool>(), prop::collection::vec(step(), 1..60));
    for_all(
        seed,
        cases("TALLYBOOK_HISTORIES", 24),
        seeds("tests/it/invariant/failing-seeds.txt"),
        &strategy,
        |(by_row, history)| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            steps.set(steps.get() + runtime.block_on(live_through(by_row, &history)));
            histories.set(histories.get() + 1);
        },
    );
    let steps = steps.get();
    // Each now-view with the model and with raw, and one plan of pending with the other.
    let comparisons = 4 * steps;
    let figures = [("histories", histories.get()), ("steps", steps), ("comparisons", comparisons), ("differences", 0)];
    ONE_SESSION.record(Some(seed), &figures);
}

/// Tells how many steps it were.
async fn live_through(by_row: bool, steps: &[Step]) -> u64 {
    let db = testing::database().await;
    let mut conn = db.connect().await;
    let mut maintenance = db.connect().await;
    if by_row {
        conn.execute("select tallybook.capture_usage_by('row')").await.unwrap();
    }
    let mut writer = Writer::new();
    let mut taken = 0;
    for step in first_entities().iter().chain(steps) {
        writer.take(step, &mut conn, &mut maintenance).await;
        compare(&mut conn, DAILY, &writer.world.daily(), step).await;
        compare(&mut conn, QUARTER_HOURS, &writer.world.quarter_hours(), step).await;
        let report = verify::verify_in(&mut (&mut conn).into()).await.unwrap();
        assert!(report.exact(), "after {step:?}: {report:?}");
        let differing: i64 = sqlx::query_scalar(PLANS_DIFFER).fetch_one(&mut conn).await.unwrap();
        assert_eq!(differing, 0, "the plans of pending differ after {step:?}");
        taken += 1;
    }
    taken
}

/// Something to begin with, so that short histories are about usage too.
fn first_entities() -> Vec<Step> {
    vec![
        Step::AddWorkspace(0),
        Step::AddWorkspace(1),
        Step::AddRuntime(0, 0),
        Step::AddRuntime(1, 0),
        Step::AddAgent(0, 0),
        Step::AddAgent(1, 1),
        Step::AddProject(0, 0),
        Step::AddIssue(0, 1, Some(0)),
        Step::AddTask(0, 0, Some(0), Some(0)),
        Step::AddTask(1, 1, None, None),
    ]
}

async fn compare(conn: &mut PgConnection, sql: &'static str, expected: &Sums, step: &Step) {
    let rows = sqlx::query(sql).fetch_all(conn).await.unwrap();
    let mut shown = Sums::new();
    for row in rows {
        let dimensions = row.len() - 1;
        let key = (0..dimensions).map(|column| row.get::<Option<String>, _>(column)).collect();
        let sums: Vec<String> = row.get(dimensions);
        let sums: Vec<i128> = sums.iter().map(|sum| sum.parse().unwrap()).collect();
        assert!(shown.insert(key, sums.try_into().unwrap()).is_none(), "a key is shown twice after {step:?}");
    }
    assert_eq!(&shown, expected, "after {step:?}");
}
