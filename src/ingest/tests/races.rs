//! Many clients at once, on several instances.
use super::groups::blocked;
use super::*;
use crate::ingest::Error;
use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use sqlx::Connection;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

const CLIENTS: u64 = 64;

/// More instances of the service on the bench's database.
fn instances(bench: &Bench, count: usize) -> Vec<Ingest> {
    (0..count).map(|_| Ingest::start(bench.pool().clone(), bench.clock.clone(), &bench.tracker, Limits::default())).collect()
}

#[tokio::test]
async fn c05_overlapping_batches_in_random_order_lose_nothing() {
    let bench = Bench::new().await;
    let tasks = [bench.task().await, bench.task().await, bench.task().await];
    let instances = instances(&bench, 3);
    let clients = (0..CLIENTS).map(|client| {
        let (bench, ingest) = (&bench, &instances[usize::try_from(client).unwrap() % instances.len()]);
        async move {
            let mut random = StdRng::seed_from_u64(client);
            let mut outcomes = Vec::new();
            for _ in 0..4 {
                let mut keys: Vec<u64> = (0..60).collect();
                keys.shuffle(&mut random);
                keys.truncate(random.random_range(1..50));
                let batch = keys.iter().map(|key| {
                    let task = tasks[usize::try_from(key % 3).unwrap()];
                    report(task, i64::try_from(key * 10).unwrap()).keyed(&key.to_string()).at("2026-02-01T00:00:00Z")
                });
                outcomes.extend(keys.iter().copied().zip(ingest.submit(&bench.caller, batch.collect()).await.unwrap()));
            }
            outcomes
        }
    });
    let mut created: HashMap<u64, usize> = HashMap::new();
    for (key, outcome) in join_all(clients).await.into_iter().flatten() {
        let count = created.entry(key).or_default();
        match outcome {
            Outcome::Created => *count += 1,
            outcome => assert_eq!(outcome, Outcome::Unchanged),
        }
    }
    assert_eq!(created.len(), 60);
    assert!(created.values().all(|count| *count == 1), "each was created exactly once: {created:?}");
    let sum: i64 = (0..60).map(|key| key * 10).sum();
    assert_eq!(bench.number("select sum(input_tokens)::bigint from public.task_usage").await, sum);
    assert_exact(&bench).await;
}

#[tokio::test]
async fn many_creators_of_one_name_make_one_of_it() {
    let bench = Bench::new().await;
    let instances = instances(&bench, 4);
    let reports = (0..CLIENTS).map(|client| {
        let ingest = &instances[usize::try_from(client).unwrap() % instances.len()];
        let placed = report(Uuid::new_v4(), 1).at_agent("ada").at_runtime("box").at_issue("Fix it");
        ingest.submit(&bench.caller, vec![placed])
    });
    for answer in join_all(reports).await {
        assert_eq!(answer.unwrap(), [Outcome::Created]);
    }
    let made = "select concat_ws(' ', (select count(*) from public.agent), (select count(*) from public.agent_runtime), \
        (select count(*) from public.issue), (select count(*) from public.agent_task_queue))";
    assert_eq!(bench.text(made).await.unwrap(), format!("1 1 1 {CLIENTS}"));
}

#[tokio::test]
async fn many_first_reports_of_one_task_make_one_task() {
    let bench = Bench::new().await;
    let instances = instances(&bench, 4);
    let task = Uuid::new_v4();
    let reports = (0..CLIENTS).map(|client| {
        let ingest = &instances[usize::try_from(client).unwrap() % instances.len()];
        ingest.submit(&bench.caller, vec![report(task, 1).keyed(&client.to_string()).at_agent(&format!("agent {}", client % 2))])
    });
    for answer in join_all(reports).await {
        assert_eq!(answer.unwrap(), [Outcome::Created]);
    }
    assert_eq!(bench.number("select count(*) from public.agent_task_queue").await, 1);
}

/// Histories of one identity from several instances end where some order of them would.
#[tokio::test]
async fn a_task_that_somebody_else_has_just_made_is_moved_where_its_report_places_it() {
    let bench = Bench::new().await;
    let (like, id) = (bench.task().await, Uuid::new_v4());
    let mut other = bench.database.connect().await;
    let mut tx = other.begin().await.unwrap();
    let make =
        "insert into public.agent_task_queue (id, agent_id) select $1, agent_id from public.agent_task_queue where id = $2";
    sqlx::query(make).bind(id).bind(like).execute(&mut *tx).await.unwrap();
    let end = async {
        blocked(&bench).await;
        tx.commit().await.unwrap();
    };
    let (outcome, ()) = tokio::join!(bench.put(report(id, 1).at_agent("another")), end);
    assert_eq!(outcome, Outcome::Created);
    let agents = "select string_agg(distinct a.name, ' ' order by a.name) from public.agent_task_queue t join public.agent a on a.id = t.agent_id";
    assert_eq!(bench.text(agents).await.unwrap(), "agent another");
}

#[tokio::test]
async fn totals_with_a_sequence_end_at_the_highest_whatever_the_order() {
    let bench = Bench::new().await;
    let task = bench.task().await;
    let instances = instances(&bench, 4);
    let mut totals: Vec<i64> = (1..=80).collect();
    totals.shuffle(&mut StdRng::seed_from_u64(7));
    let reports = totals
        .iter()
        .enumerate()
        .map(|(n, total)| instances[n % instances.len()].submit(&bench.caller, vec![report(task, *total).numbered(*total)]));
    let mut seen: HashMap<Outcome, usize> = HashMap::new();
    for answer in join_all(reports).await {
        match seen.entry(answer.unwrap()[0]) {
            Entry::Occupied(mut entry) => *entry.get_mut() += 1,
            Entry::Vacant(entry) => _ = entry.insert(1),
        }
    }
    assert_eq!(seen[&Outcome::Created], 1);
    assert!(!seen.contains_key(&Outcome::Unchanged), "{seen:?}");
    assert_eq!(bench.number("select input_tokens from public.task_usage").await, 80);
}

#[tokio::test]
async fn a_report_that_meets_a_purge_is_stored_before_or_refused_after_it() {
    let bench = Bench::new().await;
    for _ in 0..20 {
        let task = bench.task().await;
        bench.submit((0..50).map(|n| report(task, 1).keyed(&n.to_string())).collect()).await.unwrap();
        // It corrects rows that are there and adds others: the purge must wait for both or for none.
        let batch = (25..75).map(|n| report(task, 2).keyed(&n.to_string())).collect();
        let purge = sqlx::query("delete from public.agent_task_queue where id = $1").bind(task).execute(bench.pool());
        let (answer, purged) = tokio::join!(bench.submit(batch), purge);
        purged.unwrap();
        match answer {
            Ok(outcomes) => assert_eq!(outcomes.len(), 50),
            Err(Error::Invalid(faults)) => assert_eq!(faults[0].field, "task_id"),
            Err(error) => panic!("{error}"),
        }
        assert_eq!(bench.number("select count(*) from public.task_usage").await, 0);
    }
    assert_exact(&bench).await;
}

#[tokio::test]
async fn reports_that_move_tasks_back_and_forth_leave_the_rollups_exact() {
    let bench = Bench::new().await;
    let instances = instances(&bench, 3);
    let tasks: Vec<Uuid> = (0..5).map(Uuid::from_u128).collect();
    let clients = (0..24_u64).map(|client| {
        let (bench, tasks, ingest) = (&bench, &tasks, &instances[usize::try_from(client).unwrap() % instances.len()]);
        async move {
            let mut random = StdRng::seed_from_u64(client);
            for _ in 0..8 {
                let mut order = tasks.clone();
                order.shuffle(&mut random);
                let batch = order.into_iter().map(|task| {
                    let agent = format!("agent {}", random.random_range(0..4));
                    report(task, random.random_range(0..100)).at_agent(&agent).at_runtime(&format!("of {agent}"))
                });
                ingest.submit(&bench.caller, batch.collect()).await.unwrap();
                crate::rollup::fold::tick(bench.pool()).await.unwrap();
            }
        }
    });
    join_all(clients).await;
    assert_exact(&bench).await;
}

/// The rollups show just what the raw rows say.
async fn assert_exact(bench: &Bench) {
    let report = crate::rollup::verify::verify(bench.pool()).await.unwrap();
    assert!(report.exact(), "{report:?}");
}
