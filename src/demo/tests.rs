//! The demo as a whole, on a test's database, through a real HTTP server.
use super::{Demo, Error, Kind, Pace, SLUG, Settings, WORKSPACE};
use crate::config::Place;
use crate::rollup;
use crate::service;
use crate::testing::{self, TestDatabase};
use sqlx::Executor;
use std::collections::BTreeSet;
use std::time::Duration;

fn settings(database: &TestDatabase, seed: u64) -> Settings {
    let place = Place::from(database.options());
    Settings { service: service::Settings::new(place, "127.0.0.1:0".parse().unwrap()), pace: Pace::new(Pace::MAX), seed }
}

/// Runs a demo until its fleet has done everything at least once, and stops it.
async fn run(database: &TestDatabase, seed: u64) -> super::Counts {
    let demo = Box::pin(Demo::start(settings(database, seed))).await.unwrap();
    while Kind::ALL.iter().any(|kind| !demo.counts().steps.contains_key(kind)) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    demo.rest().await;
    let counts = demo.counts();
    let figures = demo.figures().await.unwrap();
    assert_eq!(figures.counts, counts);
    assert!(figures.usage.tokens().get() > 0 && figures.usage.cost_usd.ticks() > 0);
    assert!(figures.usage.uncosted.tokens().get() > 0, "some of it has no price");
    Box::pin(demo.stop()).await.unwrap();
    counts
}

async fn number(database: &TestDatabase, query: &'static str) -> i64 {
    sqlx::query_scalar(query).fetch_one(&database.pool).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_does_everything_and_ends_exact_and_a_second_one_goes_on() {
    let database = testing::empty_database().await;
    let first = run(&database, 1).await;
    assert_eq!(first.steps.keys().copied().collect::<BTreeSet<_>>(), BTreeSet::from(Kind::ALL));
    assert_eq!((first.refused, &first.last_refusal, &first.away), (0, &None, &None));
    assert!(first.created > 0 && first.replaced > 0 && first.unchanged > 0 && first.stale > 0, "{first:?}");
    assert!(rollup::verify::verify(&database.pool).await.unwrap().exact());
    let (rows, agents) = ("select count(*) from public.task_usage", "select count(*) from public.agent");
    let (rows_before, agents_before) = (number(&database, rows).await, number(&database, agents).await);
    assert_eq!(number(&database, "select count(*) from public.agent_task_queue where deleted_at is not null").await.min(1), 1);
    let open = "select count(*) from tallybook.access_token where revoked_at is null";
    assert_eq!(number(&database, open).await, 0, "the fleet's token is good for one run");

    let second = run(&database, 1).await;
    assert_eq!((second.refused, &second.last_refusal), (0, &None));
    assert!(number(&database, rows).await > rows_before);
    assert_eq!(number(&database, agents).await, agents_before, "the same agents are at work");
    assert!(rollup::verify::verify(&database.pool).await.unwrap().exact());
}

async fn refusal(database: &TestDatabase) -> String {
    let refused = Box::pin(Demo::start(settings(database, 1))).await.unwrap_err();
    assert!(matches!(refused, Error::Refused(_)), "{refused}");
    let told = refused.to_string();
    assert!(told.contains("leave out DATABASE_URL and --data-dir"), "{told}");
    told
}

#[tokio::test]
async fn a_database_with_other_workspaces_is_refused_and_left_as_it_was() {
    let database = testing::database().await;
    database.pool.execute(include_str!("../testing/one_task.sql")).await.unwrap();
    let told = refusal(&database).await;
    assert!(told.contains("workspace \"one\" (one);"), "{told}");
    assert_eq!(number(&database, "select count(*) from public.workspace").await, 1);

    // Beside the demo's own, too; and one that only looks like the demo's is none.
    sqlx::query("insert into public.workspace (id, name, slug) values ($1, 'Tallybook demo', $2)")
        .bind(WORKSPACE)
        .bind(SLUG)
        .execute(&database.pool)
        .await
        .unwrap();
    assert!(refusal(&database).await.contains("\"one\""));
    database.pool.execute("delete from public.workspace where slug = 'one'").await.unwrap();
    database.pool.execute("update public.workspace set slug = 'acme'").await.unwrap();
    assert!(refusal(&database).await.contains("\"Tallybook demo\" (acme)"));
}

#[tokio::test]
async fn a_database_of_somebody_else_is_refused_and_not_migrated() {
    let database = testing::empty_database().await;
    database
        .pool
        .execute("create table public.workspace (id int); create schema app; create table app.customer (id int)")
        .await
        .unwrap();
    let told = refusal(&database).await;
    assert!(told.contains("table app.customer and 1 more"), "{told}");
    assert_eq!(number(&database, "select count(*) from pg_namespace where nspname = 'tallybook'").await, 0);
}

#[tokio::test]
async fn an_address_that_others_can_reach_is_refused() {
    let database = testing::empty_database().await;
    let mut settings = settings(&database, 1);
    settings.service.listen = "0.0.0.0:0".parse().unwrap();
    let refused = Box::pin(Demo::start(settings)).await.unwrap_err();
    assert!(matches!(refused, Error::Exposed(_)), "{refused}");
    assert_eq!(number(&database, "select count(*) from pg_namespace where nspname = 'tallybook'").await, 0);
}
