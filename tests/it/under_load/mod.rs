//! A host's writers at full speed while Tallybook comes, covers history, serves, and goes: no statement fails, nothing differs, nothing is left.
//!
//! `make adopt-demo` runs it at length, on millions of rows, and bounds the longest stall of a writer; the ordinary tests do a little of it, and
//! bound nothing that depends on the machine.
mod checker;
mod dump;
mod measure;
mod reads;
mod report;
mod writers;

use crate::cli::{on, serve::Serving};
use measure::{Measure, Phase};
use nix::sys::signal::Signal;
use sqlx::{AssertSqlSafe, Executor};
use std::env;
use std::process::Output;
use std::sync::Arc;
use std::time::Duration;
use tallybook::testing::results;
use tallybook::testing::{self, TestDatabase};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Rows of history in the ordinary tests.
const ROWS: u64 = 4_000;
/// How long a phase lasts at least, there.
const PHASE: Duration = Duration::from_secs(1);
/// How long a writer rests after each statement, there: other tests need the machine, too.
const PACE: Duration = Duration::from_millis(10);
/// Days of history.
const DAYS: i32 = 180;

/// How much is done.
struct Size {
    rows: u64,
    phase: Duration,
    /// How long a writer rests after each statement.
    pace: Option<Duration>,
    /// Whether it is the long run, alone on its server, whose stalls are bounded.
    is_demo: bool,
}

impl Size {
    fn of_environment() -> Self {
        let number =
            |name| env::var(name).ok().map(|text| text.parse::<u64>().unwrap_or_else(|_| panic!("{name} is no number: {text}")));
        let rows = number("TALLYBOOK_DEMO_ROWS");
        let phase = number("TALLYBOOK_DEMO_SECONDS").map_or(PHASE, Duration::from_secs);
        Self { rows: rows.unwrap_or(ROWS), phase, pace: rows.is_none().then_some(PACE), is_demo: rows.is_some() }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_writer_notices_that_tallybook_comes_works_and_goes() {
    let size = Size::of_environment();
    let seed = results::seed();
    eprintln!("adopt-demo: {} rows of history, phases of {} s at least, seed {seed}", size.rows, size.phase.as_secs());
    let db = host(&size).await;
    let schema = dump::schema(&db).await;
    let (measure, stop) = (Arc::new(Measure::new()), CancellationToken::new());
    let mut writers = JoinSet::new();
    for number in 0..writers::WRITERS {
        writers.spawn(writers::write(
            db.connect().await,
            number,
            size.rows / 2,
            seed,
            size.pace,
            Arc::clone(&measure),
            stop.clone(),
        ));
    }

    lasting(size.phase, async {}).await;
    let leaving = CancellationToken::new();
    let comparing = TaskTracker::new().spawn(checker::check(db.connect().await, seed, leaving.clone()));
    measure.enter(Phase::Adopt);
    lasting(size.phase, run(&db, "migrate up --adopt")).await;
    measure.enter(Phase::Backfill);
    let serving = start(&db).await;
    lasting(size.phase, run(&db, "backfill")).await;
    measure.enter(Phase::Serve);
    let reads = read(&db, &serving, &size).await;
    end(serving).await;
    measure.enter(Phase::Down);
    leaving.cancel();
    lasting(size.phase, run(&db, "migrate down --to 0")).await;
    let checked = comparing.await.unwrap();
    measure.enter(Phase::After);
    lasting(size.phase, async {}).await;

    stop.cancel();
    while let Some(ended) = writers.join_next().await {
        ended.unwrap();
    }
    let met = measure.end();
    let is_as_before = dump::schema(&db).await == schema;
    report::Report { rows: size.rows, seed, met, checked, reads, is_as_before }.judge(size.is_demo);
}

/// The host's database with its history.
async fn host(size: &Size) -> TestDatabase {
    let db = testing::empty_database().await;
    let began = Instant::now();
    db.pool.execute(include_str!("../../../src/testing/host.sql")).await.unwrap();
    let mut conn = db.connect().await;
    conn.execute(AssertSqlSafe(format!("set demo.rows = {}", size.rows))).await.unwrap();
    conn.execute(include_str!("history.sql")).await.unwrap();
    conn.execute("vacuum analyze").await.unwrap();
    eprintln!("adopt-demo: the history was made in {} s", began.elapsed().as_secs());
    db
}

/// Does `work`, and goes on until the time is over.
async fn lasting<T>(time: Duration, work: impl Future<Output = T>) -> T {
    let (done, ()) = tokio::join!(work, tokio::time::sleep(time));
    done
}

/// Runs a command of ours that must succeed, and gives what it printed.
async fn run(db: &TestDatabase, arguments: &str) -> String {
    let began = Instant::now();
    let Output { status, stdout, stderr } = tokio::process::Command::from(on(db, arguments)).output().await.unwrap();
    let (said, told) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "tallybook {arguments}: {status}\n{said}{told}");
    eprintln!("adopt-demo: `tallybook {arguments}` took {} ms", began.elapsed().as_millis());
    said.into_owned()
}

/// The service, which folds as long as it runs.
async fn start(db: &TestDatabase) -> Serving {
    let mut command = on(db, "serve --listen 127.0.0.1:0");
    tokio::task::spawn_blocking(move || Serving::start(&mut command)).await.unwrap()
}

/// Lets readers read for the length of a phase, and verifies all of it meanwhile where there is little. Gives how many reads were answered.
async fn read(db: &TestDatabase, serving: &Serving, size: &Size) -> u64 {
    let created = run(db, "token create --name demo --scope read --all-workspaces --json").await;
    let created: serde_json::Value = serde_json::from_str(&created).unwrap();
    let token = created["token"].as_str().unwrap().to_owned();
    let stop = CancellationToken::new();
    let readers: Vec<_> = (0..2).map(|_| reads::start(serving.address, token.clone(), stop.clone())).collect();
    // Of millions of rows that takes longer than a phase; the checker compares days all the while.
    let verified = async {
        if !size.is_demo {
            run(db, "verify").await;
        }
    };
    lasting(size.phase, verified).await;
    stop.cancel();
    let mut reads = 0;
    for reader in readers {
        reads += reader.await.unwrap();
    }
    reads
}

/// Ends the service, which has nothing to complain of.
async fn end(serving: Serving) {
    let (status, told) = tokio::task::spawn_blocking(move || serving.stop(Signal::SIGTERM)).await.unwrap();
    assert!(status.success(), "the service ended badly: {told}");
}
