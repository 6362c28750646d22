//! What was sealed is not counted again, however often and however late it is reported.
use super::*;
use crate::ingest::error::Error;
use futures_util::future::join_all;
use sqlx::Connection;

const DAY: &str = "2026-02-01";

impl Bench {
    /// Seals all usage of [`DAY`] that nobody else has, and gives how many rows that were.
    async fn seal(&self) -> i64 {
        sqlx::query_scalar("select rows_sealed from tallybook.seal($1::text::timestamptz, $1::text::timestamptz + interval '24 hours', null, 1000)")
            .bind(DAY)
            .fetch_one(self.pool())
            .await
            .unwrap()
    }

    /// All tokens and rows that count.
    async fn total(&self) -> (i64, i64) {
        sqlx::query_as("select coalesce(sum(input_tokens), 0)::bigint, coalesce(sum(event_count), 0)::bigint from tallybook.task_usage_daily_now")
            .fetch_one(self.pool())
            .await
            .unwrap()
    }
}

fn old(task: Uuid, input: i64) -> Report {
    report(task, input).at("2026-02-01T10:00:00Z")
}

#[tokio::test]
async fn c03_a_replay_of_what_was_sealed_changes_nothing_and_new_reports_add_up() {
    let bench = Bench::new().await;
    let task = bench.task().await;
    let batch: Vec<Report> = (1..=3).map(|n| old(task, n).keyed(&n.to_string())).collect();
    bench.submit(batch.clone()).await.unwrap();
    assert_eq!(bench.seal().await, 3);
    assert_eq!(bench.total().await, (6, 3));
    bench.clock.advance(jiff::SignedDuration::from_hours(366 * 24));
    assert_eq!(bench.submit(batch.clone()).await.unwrap(), [Outcome::Sealed; 3]);
    // A correction comes too late as well, and one with a time of its own.
    let corrected = vec![old(task, 900).keyed("1"), report(task, 900).keyed("2"), report(task, 10).keyed("3").numbered(9)];
    assert_eq!(bench.submit(corrected).await.unwrap(), [Outcome::Sealed; 3]);
    assert_eq!(bench.total().await, (6, 3));
    // Late ones of the same day, and what differs in any part of the identity, are new.
    let mut other_model = old(task, 100).keyed("1");
    other_model.model = Model::parse("haiku").unwrap();
    let mixed = vec![batch[0].clone(), old(task, 40).keyed("late"), other_model, old(task, 1000)];
    let outcomes = [Outcome::Sealed, Outcome::Created, Outcome::Created, Outcome::Created];
    assert_eq!(bench.submit(mixed).await.unwrap(), outcomes);
    assert_eq!(bench.total().await, (1146, 6));
    assert_eq!(bench.seal().await, 3, "late ones are sealed by the next run");
    assert_eq!(bench.total().await, (1146, 6));
}

#[tokio::test]
async fn a_sealed_report_makes_and_moves_nothing_also_when_its_task_is_gone() {
    let bench = Bench::new().await;
    let task = bench.task().await;
    bench.put(old(task, 5)).await;
    bench.seal().await;
    let elsewhere = old(task, 5).at_agent("other").at_runtime("other").at_issue("other");
    assert_eq!(bench.put(elsewhere.clone()).await, Outcome::Sealed);
    assert_eq!(bench.number("select count(*) from public.agent").await, 1);
    sqlx::query("delete from public.agent_task_queue").execute(bench.pool()).await.unwrap();
    assert_eq!(bench.put(old(task, 7)).await, Outcome::Sealed, "no task is needed");
    assert_eq!(bench.put(elsewhere).await, Outcome::Sealed);
    let made = "select (select count(*) from public.agent_task_queue) + (select count(*) from public.agent) + (select count(*) from public.issue)";
    assert_eq!(bench.number(made).await, 1, "only the first agent is there");
    assert_eq!(bench.total().await, (5, 1));
    // Another identity of the task is as unknown as ever.
    let refused = bench.submit(vec![old(task, 1).keyed("new"), old(task, 5)]).await;
    assert!(matches!(refused, Err(Error::Invalid(faults)) if faults.len() == 1 && faults[0].index == 0));
}

#[tokio::test]
async fn another_workspace_s_task_is_not_told_to_be_sealed() {
    let bench = Bench::new().await;
    let task = bench.task().await;
    bench.put(old(task, 5)).await;
    bench.seal().await;
    let stranger = bound_to(Some(new_workspace(bench.pool()).await));
    let refused = bench.ingest.submit(&stranger, vec![old(task, 5)]).await;
    assert!(matches!(refused, Err(Error::Invalid(faults)) if faults[0].field == "task_id"));
}

#[tokio::test]
async fn a_report_that_meets_the_sealing_of_its_identity_waits_and_is_sealed() {
    let bench = Bench::new().await;
    let task = bench.task().await;
    bench.put(old(task, 5)).await;
    let mut sealer = bench.database.connect().await;
    let mut tx = sealer.begin().await.unwrap();
    let sealing = "select rows_sealed from tallybook.seal('2026-02-01', '2026-02-02', null, 1000)";
    assert_eq!(sqlx::query_scalar::<_, i64>(sealing).fetch_one(&mut *tx).await.unwrap(), 1);
    let (outcome, ()) = tokio::join!(bench.put(old(task, 50)), async {
        let waiting =
            "select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')";
        while !sqlx::query_scalar::<_, bool>(waiting).fetch_one(bench.pool()).await.unwrap() {
            tokio::task::yield_now().await;
        }
        tx.commit().await.unwrap();
    });
    assert_eq!(outcome, Outcome::Sealed);
    assert_eq!(bench.total().await, (5, 1));
}

#[tokio::test]
async fn sealing_leaves_what_a_report_has_and_waits_for_nobody() {
    let bench = Bench::new().await;
    let (busy, idle) = (bench.task().await, bench.task().await);
    bench.submit(vec![old(busy, 1), old(idle, 2)]).await.unwrap();
    let mut reporter = bench.database.connect().await;
    for held in [
        "select from public.agent_task_queue where id = $1 for key share",
        "update public.task_usage set input_tokens = 1 where task_id = $1",
    ] {
        let mut tx = reporter.begin().await.unwrap();
        sqlx::query(held).bind(busy).execute(&mut *tx).await.unwrap();
        let sealed = i64::from(held.starts_with("select"));
        assert_eq!(bench.seal().await, sealed, "{held}");
        tx.rollback().await.unwrap();
    }
    assert_eq!(bench.seal().await, 1);
    assert_eq!(bench.total().await, (3, 2));
}

#[tokio::test]
async fn reports_and_sealing_at_full_speed_count_everything_once() {
    let bench = Bench::new().await;
    for round in 0..10 {
        let task = bench.task().await;
        bench.submit((0..30).map(|n| old(task, 1).keyed(&n.to_string())).collect()).await.unwrap();
        let reports = (0..30).map(|n| bench.submit(vec![old(task, 2).keyed(&n.to_string())]));
        let sealing = async { join_all((0..4).map(|_| bench.seal())).await };
        let (answers, _) = tokio::join!(join_all(reports), sealing);
        let replaced = answers.into_iter().filter(|answer| answer.as_ref().unwrap()[0] == Outcome::Replaced).count();
        let outcomes = i64::try_from(replaced).unwrap();
        bench.seal().await;
        assert_eq!(bench.total().await, (30 + outcomes, 30), "round {round}");
        sqlx::raw_sql("delete from tallybook.sealed_usage").execute(bench.pool()).await.unwrap();
    }
}
