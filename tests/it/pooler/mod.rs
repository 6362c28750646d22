//! `PgBouncer` in transaction mode between us and the database: what is prepared or set in a session is not there in the next
//! transaction, and may be there in somebody else's.
mod bouncer;

use crate::cli::{tallybook, transcript};
use crate::outage::reporters::Reporters;
use crate::outage::{Client, blocking};
use bouncer::{Bouncer, SESSIONS};
use sqlx::{ConnectOptions, Executor};
use std::collections::BTreeSet;
use tallybook::config::Place;
use tallybook::db::pool;
use tallybook::rollup::verify;
use tallybook::service::{Service, Settings};
use tallybook::testing::{self, TestDatabase};

/// Reporters of each service.
const REPORTERS: usize = 4;

/// A database with one task, behind a pooler.
async fn pooled() -> (TestDatabase, Bouncer) {
    let database = testing::database().await;
    database.pool.execute(include_str!("../../../src/testing/one_task.sql")).await.unwrap();
    let bouncer = Bouncer::start(&database).await;
    (database, bouncer)
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_found_out_and_the_server_itself_is_not_taken_for_it() {
    let (database, bouncer) = pooled().await;
    for (options, is_pooled) in [(database.options(), false), (bouncer.options(&database), true)] {
        let pool = pool::lazy(options, None, 2);
        assert_eq!(pool.is_pooled(), None);
        pool.execute("select 1").await.unwrap();
        assert_eq!(pool.is_pooled(), Some(is_pooled));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_services_take_reports_fold_and_read_exactly_through_it() {
    let (database, bouncer) = pooled().await;
    let mut running = Vec::new();
    for first in [0, 1] {
        let place = Place::from(bouncer.options(&database));
        let service = Service::start(Settings::new(place, "127.0.0.1:0".parse().unwrap())).await.unwrap();
        assert_eq!(service.pool.is_pooled(), Some(true));
        let client = Client::of(&service).await;
        let reporters = Reporters::start_from(&client, REPORTERS, first * 100_000_000);
        running.push((service, client, reporters));
    }
    let through = pool::lazy(bouncer.options(&database), None, 2);
    for _ in 0..6 {
        for (_, client, reporters) in &running {
            reporters.wait_for_more_accepted(30).await;
            let client = client.clone();
            let (workspace, task) = ("00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000004");
            let usage = [format!("/v1/workspaces/{workspace}/usage"), format!("/v1/tasks/{task}/usage")];
            let paths = ["/v1/agents".to_owned(), "/readyz".to_owned()].into_iter().chain(usage);
            let answered = blocking(move || paths.map(|path| client.get_when_served(&path).status).collect::<Vec<_>>()).await;
            assert_eq!(answered, [200; 4]);
        }
        let report = verify::verify(&through).await.unwrap();
        assert!(report.exact(), "{report:?}");
    }
    let mut acknowledged = Vec::new();
    for (service, client, reporters) in running {
        acknowledged.extend(reporters.stop().await);
        assert_eq!(blocking(move || client.get_when_served("/v1/agents")).await.status, 200);
        service.stop().await.unwrap();
    }
    acknowledged.sort();
    let stored: Vec<String> =
        sqlx::query_scalar("select event_key from public.task_usage where model = 'outage' order by event_key")
            .fetch_all(&database.pool)
            .await
            .unwrap();
    assert_eq!(stored, acknowledged);
    let report = verify::verify(&database.pool).await.unwrap();
    assert!(report.exact(), "{report:?}");
    let folds: i64 =
        sqlx::query_scalar("select count(*) from tallybook.task_usage_daily").fetch_one(&database.pool).await.unwrap();
    assert!(folds > 0, "the services fold through it");
    assert_nothing_left(&database, &bouncer).await;
}

/// No session that was lent to us has anything of ours prepared or set, or a lock of ours.
async fn assert_nothing_left(database: &TestDatabase, bouncer: &Bouncer) {
    let through = pool::lazy(bouncer.options(database), None, SESSIONS);
    let (mut lent, mut seen) = (Vec::new(), BTreeSet::new());
    for _ in 0..SESSIONS {
        // Each is kept, so the next one gets another session.
        let mut transaction = through.begin().await.unwrap();
        let (session, prepared, locks, jit): (i32, i64, i64, String) =
            sqlx::query_as(include_str!("left.sql")).fetch_one(&mut *transaction).await.unwrap();
        assert_eq!((prepared, locks, jit.as_str()), (0, 0, "off"), "in session {session}");
        assert!(seen.insert(session), "session {session} was lent twice");
        lent.push(transaction);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_says_through_it_what_it_says_without() {
    let (database, bouncer) = pooled().await;
    let (direct, pooled) = (database.options().to_url_lossy().to_string(), bouncer.url(&database));
    for arguments in [
        "usage --days 3000 --json",
        "verify",
        "fold",
        "fold",
        "verify --json --since 2026-01-01",
        "repair --dry-run",
        "backfill",
        "doctor",
        "token list",
        "migrate status",
        "migrate up",
    ] {
        let [through, without] = [&pooled, &direct].map(|url| {
            let told = transcript(tallybook(arguments).env("DATABASE_URL", url));
            told.lines().filter(|line| !line.contains("as_of")).collect::<Vec<_>>().join("\n")
        });
        assert!(through.ends_with("--- exit 0"), "tallybook {arguments}: {through}");
        // The first one folds, and the second one finds nothing.
        if arguments != "fold" {
            assert_eq!(through, without, "tallybook {arguments}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schema_is_changed_past_it_or_not_at_all() {
    let database = testing::empty_database().await;
    let bouncer = Bouncer::start(&database).await;
    let command = |arguments: &str| {
        let mut command = tallybook(arguments);
        command.env("DATABASE_URL", bouncer.url(&database));
        command
    };
    for arguments in ["migrate up", "serve --log-level off --listen 127.0.0.1:0"] {
        let told = transcript(&mut command(arguments));
        assert!(told.contains("DATABASE_DIRECT_URL") && told.ends_with("--- exit 2\n"), "{told}");
    }
    let direct = database.options().to_url_lossy().to_string();
    let told = transcript(command("migrate up").env("DATABASE_DIRECT_URL", &direct));
    assert!(told.starts_with("applied 0001") && told.ends_with("--- exit 0\n"), "{told}");
    database.pool.execute(include_str!("../../../src/testing/one_task.sql")).await.unwrap();
    database.pool.execute("select tallybook.seal('2026-01-02', '2026-01-03', null, 10)").await.unwrap();
    for arguments in ["migrate down", "migrate down --to 8 --delete-usage"] {
        let told = transcript(&mut command(arguments));
        assert!(told.contains("DATABASE_DIRECT_URL") && told.ends_with("--- exit 2\n"), "{told}");
    }
    let kept: bool =
        sqlx::query_scalar("select exists (select from tallybook.sealed_usage)").fetch_one(&database.pool).await.unwrap();
    assert!(kept, "what cannot be reverted deletes nothing");
    let told = transcript(command("migrate down").env("DATABASE_DIRECT_URL", &direct));
    assert!(told.starts_with("reverted") && told.ends_with("--- exit 0\n"), "{told}");
    let told = transcript(&mut command("usage"));
    assert!(told.contains("run `tallybook migrate up`"), "{told}");
}
