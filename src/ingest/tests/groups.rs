//! Requests that are committed together, and apart.
use super::*;
use crate::ingest::Error;
use futures_util::future::join_all;
use sqlx::Connection;
use std::future::ready;
use std::pin::pin;
use std::time::Duration;

/// Holds back all ingest by keeping every connection that it can write on.
fn one_group() -> Limits {
    Limits { groups_at_once_max: 1, ..Limits::default() }
}

#[tokio::test]
async fn requests_that_wait_are_committed_together() {
    let bench = Bench::with(one_group()).await;
    let task = bench.task().await;
    // A first request waits for a lock, and the others for the first.
    bench.put(report(task, 1)).await;
    let mut holder = bench.database.connect().await;
    let mut tx = holder.begin().await.unwrap();
    sqlx::query("select from public.task_usage for update").execute(&mut *tx).await.unwrap();
    let first = bench.put(report(task, 2));
    let others = join_all((0..50).map(|n| bench.put(report(task, 1).keyed(&n.to_string()))));
    let release = async {
        blocked(&bench).await;
        for _ in 0..20 {
            assert_eq!(bench.number("select count(*) from public.task_usage").await, 1, "one group at a time");
        }
        tx.rollback().await.unwrap();
    };
    let (first, others, ()) = tokio::join!(first, others, release);
    assert_eq!(first, Outcome::Replaced);
    assert_eq!(others, vec![Outcome::Created; 50]);
    let transactions = "select count(distinct xmin::text) from public.task_usage where event_key <> ''";
    assert_eq!(bench.number(transactions).await, 1);
}

/// Waits until somebody waits for a lock of the bench's database.
pub(super) async fn blocked(bench: &Bench) {
    let waiting = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    while bench.number(waiting).await == 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_same_identity_in_many_requests_is_applied_in_order() {
    let bench = Bench::new().await;
    let task = bench.task().await;
    // Polled in order, so taken in order.
    let outcomes = join_all((0..40).map(|n| bench.put(report(task, n)))).await;
    assert_eq!(outcomes[0], Outcome::Created);
    assert!(outcomes[1..].iter().all(|outcome| *outcome == Outcome::Replaced), "{outcomes:?}");
    assert_eq!(bench.number("select input_tokens from public.task_usage").await, 39);
}

#[tokio::test]
async fn a_refused_request_leaves_the_others_of_its_group_alone() {
    let bench = Bench::with(one_group()).await;
    let task = bench.task().await;
    let requests = (0..20).map(|n| {
        let task = if n % 5 == 0 { Uuid::new_v4() } else { task };
        bench.submit(vec![report(task, 1).keyed(&n.to_string())])
    });
    for (n, answer) in join_all(requests).await.into_iter().enumerate() {
        assert_eq!(matches!(answer, Err(Error::Invalid(_))), n % 5 == 0, "{n}: {answer:?}");
        assert_eq!(answer.is_ok(), n % 5 != 0);
    }
    assert_eq!(bench.number("select count(*) from public.task_usage").await, 16);
}

/// A host that counts and refuses rows whose key is `poison`, loses all that is with a row `lose` to others, and counts that, and whose server ends
/// the session that writes a row `sever`.
async fn host(bench: &Bench) {
    sqlx::raw_sql(
        "create sequence public.refused;
         create function public.refuse() returns trigger language plpgsql as $$
         begin
           if new.event_key = 'poison' then
             raise exception 'no, for the % time', nextval('public.refused');
           elsif new.event_key = 'lose' then
             raise exception 'lost, for the % time', nextval('public.refused') using errcode = 'serialization_failure';
           elsif new.event_key = 'sever' then
             perform pg_terminate_backend(pg_backend_pid()), pg_sleep(60);
           end if;
           return new;
         end $$;
         create trigger refuse before insert on public.task_usage for each row execute function public.refuse()",
    )
    .execute(bench.pool())
    .await
    .unwrap();
}

#[tokio::test]
async fn a_row_that_the_database_refuses_fails_its_own_request_only() {
    let bench = Bench::with(one_group()).await;
    let task = bench.task().await;
    host(&bench).await;
    let keys = ["a", "b", "poison", "c", "d"];
    let requests = keys.map(|key| bench.submit(vec![report(task, 1).keyed(key), report(task, 1).keyed(&format!("{key} too"))]));
    let answers = join_all(requests).await;
    for (key, answer) in keys.iter().zip(&answers) {
        assert_eq!(answer.is_ok(), *key != "poison", "{key}: {answer:?}");
    }
    let Err(error) = &answers[2] else { unreachable!() };
    assert!(!error.is_retryable());
    assert_eq!(bench.number("select count(*) from public.task_usage").await, 8, "nothing of the refused request is stored");
}

#[tokio::test]
async fn a_refused_request_that_was_alone_is_not_tried_again() {
    let bench = Bench::with(one_group()).await;
    let task = bench.task().await;
    host(&bench).await;
    let answer = bench.submit(vec![report(task, 1).keyed("poison")]).await;
    assert!(matches!(answer, Err(Error::Refused(_))), "{answer:?}");
    assert_eq!(bench.number("select last_value from public.refused").await, 1);
}

#[tokio::test]
async fn a_request_that_keeps_losing_is_tried_six_times() {
    let bench = Bench::with(one_group()).await;
    let task = bench.task().await;
    host(&bench).await;
    let answer = bench.submit(vec![report(task, 1).keyed("lose")]).await;
    assert!(matches!(&answer, Err(error @ Error::Database(_)) if error.is_retryable()), "{answer:?}");
    assert_eq!(bench.number("select last_value from public.refused").await, 6);
}

#[tokio::test]
async fn when_the_database_goes_all_that_is_left_of_a_group_is_told_so() {
    let bench = Bench::with(one_group()).await;
    let task = bench.task().await;
    host(&bench).await;
    let groups = [
        (vec!["a", "b", "sever"], vec![]),
        // Together they meet the poison, whose key is the lesser one; each alone, in their order, the cut.
        (vec!["a", "b", "sever", "d", "poison"], vec!["a", "b"]),
    ];
    for (keys, stored) in groups {
        let answers = join_all(keys.iter().map(|key| bench.submit(vec![report(task, 1).keyed(key)]))).await;
        for (key, answer) in keys.iter().zip(&answers) {
            let is_right = if stored.contains(key) { answer.is_ok() } else { matches!(answer, Err(Error::Database(_))) };
            assert!(is_right, "{key} of {keys:?}: {answer:?}");
        }
        let keys = "select coalesce(string_agg(event_key, ' ' order by event_key), '') from public.task_usage";
        assert_eq!(bench.text(keys).await.unwrap(), stored.join(" "));
    }
}

#[tokio::test]
async fn a_row_that_a_host_holds_fails_its_own_request_only() {
    let bench = Bench::with(one_group()).await;
    let task = bench.task().await;
    bench.put(report(task, 1).keyed("held")).await;
    let mut holder = bench.database.connect().await;
    let mut tx = holder.begin().await.unwrap();
    sqlx::query("select from public.task_usage for update").execute(&mut *tx).await.unwrap();
    let answers = join_all(["a", "held", "b"].map(|key| bench.submit(vec![report(task, 2).keyed(key)]))).await;
    assert!(answers[0].is_ok() && answers[2].is_ok(), "{answers:?}");
    assert!(answers[1].as_ref().is_err_and(Error::is_retryable), "{answers:?}");
    tx.rollback().await.unwrap();
    holder.close().await.unwrap();
    assert_eq!(bench.put(report(task, 2).keyed("held")).await, Outcome::Replaced);
}

#[tokio::test]
async fn a_full_queue_says_so_and_empties_again() {
    let limits = Limits { queue_reports_max: 10, queue_requests_max: 3, groups_at_once_max: 1, ..Limits::default() };
    let bench = Bench::with(limits).await;
    let task = bench.task().await;
    let batch = |key: &str, size: usize| (0..size).map(|n| report(task, 1).keyed(&format!("{key}{n}"))).collect::<Vec<_>>();
    let mut asked =
        pin!(join_all([("a", 6), ("b", 5), ("c", 2), ("d", 2), ("e", 1)].map(|(key, size)| bench.submit(batch(key, size)))));
    tokio::select! {
        biased;
        _ = &mut asked => panic!("nobody has answered yet"),
        () = ready(()) => assert_eq!((bench.ingest.depth(), bench.ingest.depth_requests()), (10, 3)),
    }
    let answers = asked.await;
    let taken: Vec<_> = answers.iter().map(Result::is_ok).collect();
    assert_eq!(taken, [true, false, true, true, false], "11 reports are too many, and so are 4 requests: {answers:?}");
    assert!(matches!(answers[1], Err(Error::Busy)));
    bench.submit(batch("b", 5)).await.unwrap();
    assert_eq!((bench.ingest.depth(), bench.ingest.depth_requests()), (0, 0));
}

#[tokio::test]
async fn a_request_that_waits_too_long_is_told_so() {
    let limits = Limits { request_time_max: Duration::from_millis(50), ..Limits::default() };
    let bench = Bench::with(limits).await;
    let mut holder = bench.database.connect().await;
    let mut tx = holder.begin().await.unwrap();
    sqlx::query("lock table public.agent_task_queue").execute(&mut *tx).await.unwrap();
    let answer = bench.submit(vec![report(Uuid::new_v4(), 1).at_agent("ada")]).await;
    assert!(matches!(answer, Err(Error::TimedOut)), "{answer:?}");
    tx.rollback().await.unwrap();
}

#[tokio::test]
async fn shutdown_answers_all_that_was_taken() {
    let bench = Bench::with(one_group()).await;
    let task = bench.task().await;
    let Bench { database, ingest, tracker, caller, .. } = bench;
    let requests = (0..30).map(|n| {
        let (ingest, caller) = (ingest.clone(), caller.clone());
        async move { ingest.submit(&caller, vec![report(task, 1).keyed(&n.to_string())]).await }
    });
    let answers = join_all(requests);
    tracker.close();
    let answers = async {
        let answers = answers.await;
        drop(ingest);
        answers
    };
    let (answers, ()) = tokio::join!(answers, tracker.wait());
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    let stored: i64 = sqlx::query_scalar("select count(*) from public.task_usage").fetch_one(&database.pool).await.unwrap();
    assert_eq!(stored, 30);
}

#[tokio::test]
async fn shutdown_lets_what_is_under_way_end_though_its_sender_has_gone() {
    let bench = Bench::new().await;
    let task = bench.task().await;
    bench.put(report(task, 1)).await;
    let mut holder = bench.database.connect().await;
    let mut tx = holder.begin().await.unwrap();
    sqlx::query("select from public.task_usage for update").execute(&mut *tx).await.unwrap();
    tokio::select! {
        answer = bench.put(report(task, 2)) => unreachable!("the row is held: {answer:?}"),
        () = blocked(&bench) => {}
    }
    let Bench { database, ingest, tracker, .. } = bench;
    drop(ingest);
    tracker.close();
    let release = async {
        tokio::task::yield_now().await;
        tx.rollback().await.unwrap();
    };
    tokio::join!(tracker.wait(), release);
    let stored: i64 = sqlx::query_scalar("select input_tokens from public.task_usage").fetch_one(&database.pool).await.unwrap();
    assert_eq!(stored, 2);
}
