//! `tallybook bench`: all of it in small, that it cleans up, and what it refuses.
use super::{on, tallybook, transcript, transcript_on};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sqlx::{Connection, Executor, PgConnection};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use tallybook::testing;

/// Databases that a run has made.
async fn left() -> Vec<String> {
    let mut server = PgConnection::connect_with(&testing::server_options()).await.unwrap();
    sqlx::query_scalar("select datname::text from pg_database where datname like 'tallybook_bench_%'")
        .fetch_all(&mut server)
        .await
        .unwrap()
}

/// One run has a server at a time: what it is asked for here comes one after the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_suite_works_finds_nothing_wrong_and_leaves_nothing() {
    let database = testing::empty_database().await;
    it_ends_when_it_is_told_to(&database).await;
    what_it_has_measured_is_told_though_a_database_cannot_be_dropped(&database).await;
    let directory = tempfile::tempdir().unwrap();
    let mut command = on(&database, &format!("bench --quick --output {}", directory.path().display()));
    let told = tokio::task::spawn_blocking(move || transcript(&mut command)).await.unwrap();
    assert!(told.contains("\nNothing that must be exact differs.\n") && told.ends_with("--- exit 0\n"), "{told}");
    assert_eq!(left().await, [""; 0]);
    let document = std::fs::read_to_string(directory.path().join("BENCHMARKS.md")).unwrap();
    for subject in
        ["Writes", "Moves and deletes", "Ticks", "Freshness", "Reads", "Backfill", "Space", "HTTP ingest", "Correctness"]
    {
        assert!(document.contains(&format!("\n## {subject}\n")), "{subject} is missing: {document}");
    }
    let shown: BTreeSet<&str> = document.split("](benchmarks/").skip(1).map(|rest| rest.split(')').next().unwrap()).collect();
    assert!(shown.len() > 4, "{shown:?}");
    for file in shown {
        assert!(directory.path().join("benchmarks").join(file).exists(), "{file} is shown and is not there");
    }
}

/// Interrupted, it drops what it has made; what a run that was killed has left goes first.
async fn it_ends_when_it_is_told_to(database: &testing::TestDatabase) {
    let mut server = database.connect().await;
    server.execute("create database tallybook_bench_left_over").await.unwrap();
    let mut child = on(database, "bench --quick --only writes").stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut steps = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let step = steps.find(|step| step.contains("writers") || step.starts_with("tallybook: ")).unwrap();
    assert!(step.contains("writers"), "{step}");
    let there = left().await;
    assert!(!there.is_empty() && !there.contains(&"tallybook_bench_left_over".to_owned()), "{there:?}");
    kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGINT).unwrap();
    let rest: Vec<String> = steps.collect();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest:?}");
    assert_eq!(left().await, [""; 0]);
}

async fn what_it_has_measured_is_told_though_a_database_cannot_be_dropped(database: &testing::TestDatabase) {
    let mut server = database.connect().await;
    let directory = tempfile::tempdir().unwrap();
    let command = format!("bench --quick --only space --output {}", directory.path().display());
    let mut child = on(database, &command).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut steps = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(steps.any(|step| step.contains("space, 1 of 1")));
    server.execute("create database tallybook_bench_template is_template true").await.unwrap();
    let rest: Vec<String> = steps.collect();
    let told = child.wait_with_output().unwrap();
    server.execute("alter database tallybook_bench_template is_template false").await.unwrap();
    server.execute("drop database tallybook_bench_template").await.unwrap();
    assert_eq!(told.status.code(), Some(2), "{rest:?}");
    assert!(rest.last().unwrap().contains("cannot drop a template database"), "{rest:?}");
    let told = String::from_utf8(told.stdout).unwrap();
    assert!(told.starts_with("Written: ") && told.ends_with("Nothing that must be exact differs.\n"), "{told}");
    assert!(directory.path().join("BENCHMARKS.md").exists());
}

#[tokio::test]
async fn a_role_that_may_make_no_databases_is_told_so() {
    let database = testing::empty_database().await;
    let role = format!("bench_{}", database.options().get_database().unwrap());
    let mut server = database.connect().await;
    server.execute(sqlx::AssertSqlSafe(format!("create role {role} login password 'bench'"))).await.unwrap();
    let mut command = on(&database, "bench --quick");
    let options = database.options().username(&role).password("bench");
    command.env("DATABASE_URL", sqlx::ConnectOptions::to_url_lossy(&options).as_str());
    let told = tokio::task::spawn_blocking(move || transcript(&mut command)).await.unwrap();
    server.execute(sqlx::AssertSqlSafe(format!("drop role {role}"))).await.unwrap();
    insta::assert_snapshot!(told.replace(&role, "ROLE"), @"
    --- standard error
    tallybook: the role ROLE may not create databases, of which the bench makes its own: `alter role ROLE createdb` lets it
    --- exit 2
    ");
}

#[tokio::test]
async fn it_wants_a_server_and_a_size_that_has_room_for_every_write() {
    let database = testing::empty_database().await;
    insta::assert_snapshot!(transcript(&mut tallybook("bench --quick")), @"
    --- standard error
    tallybook: the bench makes databases on a server: name one with --database-url or DATABASE_URL
    --- exit 2
    ");
    insta::assert_snapshot!(transcript_on(&database, "bench --sizes 10"), @"
    --- standard error
    error: invalid value '10' for '--sizes <ROWS>': 10 is not in 600..=1000000000

    For more information, try '--help'.
    --- exit 2
    ");
}
