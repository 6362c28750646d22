//! A server process that dies at any step of storing a batch: nothing of it is stored, nobody is told that it was, and the same
//! batch again is stored whole.
use super::*;
use sqlx::{AssertSqlSafe, Executor};

/// Every table that a batch writes, in the order in which it does, and when its writer is ended: before the first row of it,
/// after the last one, or at the commit.
const TABLES: [&str; 7] = [
    "public.agent_runtime",
    "public.agent",
    "public.issue",
    "public.agent_task_queue",
    "tallybook.task_change",
    "public.task_usage",
    "tallybook.usage_change",
];
const MOMENTS: [&str; 3] = [
    "create trigger kill before insert on {} for each statement execute function public.kill()",
    "create trigger kill after insert on {} for each statement execute function public.kill()",
    "create constraint trigger kill after insert on {} deferrable initially deferred for each row execute function public.kill()",
];
const KILL: &str = "create function public.kill() returns trigger language plpgsql as $$
    begin
      perform pg_terminate_backend(pg_backend_pid());
      return null;
    end $$";

/// How much of everything there is.
const STORED: &str = "select concat_ws(' ', (select count(*) from public.agent), (select count(*) from public.agent_runtime),
    (select count(*) from public.issue), (select count(*) from public.agent_task_queue), (select count(*) from public.task_usage),
    (select count(*) from tallybook.usage_change), (select count(*) from tallybook.task_change))";

#[tokio::test]
async fn c02_a_batch_that_is_killed_at_any_step_is_not_stored_and_its_retry_is_stored_whole() {
    let bench = Bench::new().await;
    bench.pool().execute(KILL).await.unwrap();
    for (number, (table, moment)) in TABLES.iter().flat_map(|table| MOMENTS.map(|moment| (table, moment))).enumerate() {
        let name = format!("of {number}");
        let task = Uuid::new_v4();
        let batch = || -> Vec<Report> {
            let placed = |n: i64| report(task, n).keyed(&n.to_string()).at_agent(&name).at_runtime(&name).at_issue(&name);
            (0..200).map(placed).collect()
        };
        bench.pool().execute(AssertSqlSafe(moment.replace("{}", table))).await.unwrap();
        let before = bench.text(STORED).await;
        let failed = bench.submit(batch()).await.unwrap_err();
        assert!(failed.is_retryable(), "{moment} {table}: {failed:?}");
        assert_eq!(bench.text(STORED).await, before, "{moment} {table}");
        bench.pool().execute(AssertSqlSafe(format!("drop trigger kill on {table}"))).await.unwrap();
        assert_eq!(bench.submit(batch()).await.unwrap(), vec![Outcome::Created; 200], "{moment} {table}");
    }
    let report = crate::rollup::verify::verify(bench.pool()).await.unwrap();
    assert!(report.exact(), "{report:?}");
}

/// An identity is claimed by nothing but its own row: what failed is new when it comes again, and old for ever after.
#[tokio::test]
async fn c03_a_report_whose_first_attempt_was_killed_is_counted_once_however_late_it_comes_again() {
    let bench = Bench::new().await;
    let task = bench.task().await;
    let event = report(task, 7).keyed("event").at("2026-02-27T10:00:00Z");
    bench.pool().execute(KILL).await.unwrap();
    bench.pool().execute(AssertSqlSafe(MOMENTS[2].replace("{}", "public.task_usage"))).await.unwrap();
    assert!(bench.submit(vec![event.clone()]).await.unwrap_err().is_retryable());
    bench.pool().execute("drop trigger kill on public.task_usage").await.unwrap();
    bench.clock.advance(jiff::SignedDuration::from_hours(24));
    assert_eq!(bench.put(event.clone()).await, Outcome::Created);
    bench.clock.advance(jiff::SignedDuration::from_hours(24 * 400));
    assert_eq!(bench.put(event).await, Outcome::Unchanged);
    assert_eq!(bench.number("select sum(input_tokens)::bigint from public.task_usage").await, 7);
}
