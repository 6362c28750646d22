//! Reads and folds while some transaction is held open, as a `pg_dump` does: what is folded cannot be vacuumed away.
use super::{compare, forget, rows};
use crate::bench::contender::Contender;
use crate::bench::data::{self, RUNTIME};
use crate::bench::plan::{INFLOW, Subject};
use crate::bench::results::{Bound, Figure, Line, Plot, Section, Table, Unit};
use crate::bench::server::Database;
use crate::bench::service::Api;
use crate::bench::stats::{Summary, float};
use crate::bench::writers;
use crate::bench::{Bench, Error};
use crate::query::Reading;
use crate::rollup::worker::{self, Observer};
use sqlx::{Connection, Executor, PgConnection};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

const METHOD: &str = "A snapshot is held open for the whole time, while usage comes in at a steady pace and the fold loop runs. Reads are whole HTTP answers, ten a second.";
/// Parts into which the time is divided.
const PARTS: u32 = 10;
/// Reads a second.
const READS: u32 = 10;

/// When something ended, since the beginning, and how long it took.
type Taken = (Duration, Duration);

/// What happened in the time.
struct Course {
    reads: Vec<Taken>,
    folds: Vec<Taken>,
    /// Events that came in.
    came: u64,
    /// Folds that failed.
    failures: u64,
}

/// Notes how long each fold of the loop takes.
#[derive(Clone)]
struct Folds {
    began: Instant,
    taken: Arc<Mutex<Vec<Taken>>>,
    failures: Arc<Mutex<u64>>,
}

impl Observer for Folds {
    fn folded(&self, rows: i64, duration: Duration) {
        if rows > 0 {
            self.taken.lock().unwrap_or_else(PoisonError::into_inner).push((self.began.elapsed(), duration));
        }
    }

    fn contended(&self) {}

    fn covered(&self, _: i64, _: Duration) {}

    fn failed(&self) {
        *self.failures.lock().unwrap_or_else(PoisonError::into_inner) += 1;
    }
}

pub(super) async fn measure(bench: &Bench<'_>) -> Result<Section, Error> {
    let mut section = Section::new(Subject::LongTransaction, METHOD);
    let size = bench.plan.middle();
    let held = bench.plan.scale.held_open;
    let database = bench.server.copy(&Contender::Tallybook.ready_on_history(&bench.server, size).await?).await?;
    bench.step(&format!("  a snapshot held open for {} s", held.as_secs()));
    let holder = hold_snapshot(&database).await?;
    let course = run(&database, held, data::tasks(size)).await?;
    holder.close().await?;
    section.fault_unless(course.failures == 0, format!("{} folds failed", course.failures));
    let (reads, folds) = (parts(&course.reads, held), parts(&course.folds, held));
    let mut table = Table::new(
        format!("Beside {} rows, with {:.0} events a second", rows(size), float(course.came) / held.as_secs_f64()),
        ["part of the time", "reads", "folds"],
    );
    for (number, (reads, folds)) in reads.iter().zip(&folds).enumerate() {
        table.row(format!("{} of {PARTS}", number + 1), [Figure::Latency(*reads), Figure::Latency(*folds)]);
    }
    section.tables.push(table);
    section.plots.push(plot(&reads, &folds, held));
    for (what, parts) in [("reads", &reads), ("folds", &folds)] {
        if let (Some(first), Some(last)) = (parts.first(), parts.last()) {
            let what =
                format!("{what} in the last tenth of {} s beside a transaction held open, against the first", held.as_secs());
            section.floor(what, Bound::AtMost(2.0), last.median / first.median);
        }
    }
    compare(&[(Contender::Tallybook, database.clone())], &mut section).await?;
    forget(bench, [database]).await?;
    Ok(section)
}

async fn hold_snapshot(database: &Database) -> Result<PgConnection, Error> {
    let mut conn = database.connect().await?;
    conn.execute("begin isolation level repeatable read; select count(*) from public.workspace").await?;
    Ok(conn)
}

/// Lets usage come in, be folded and be read: what reads and folds took, and how much came.
async fn run(database: &Database, held: Duration, tasks: u64) -> Result<Course, Error> {
    let api = Api::reading(database, Reading::Rollups).await?;
    let mut client = api.endpoint.client().await?;
    let path = runtime_path(database).await?;
    let (pool, stop, began) = (database.pool(2), CancellationToken::new(), Instant::now());
    let folds = Folds { began, taken: Arc::default(), failures: Arc::default() };
    let mut folding = JoinSet::new();
    folding.spawn(worker::run(pool.clone(), stop.clone(), folds.clone(), false));
    let mut trickling = JoinSet::new();
    let (writing_on, stopped) = (database.clone(), stop.clone());
    trickling.spawn(async move { writers::trickle(&writing_on, tasks, "held open", &stopped).await });
    let mut reads = Vec::new();
    let mut pace = interval(Duration::from_secs(1) / READS);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while began.elapsed() < held {
        pace.tick().await;
        let asked = Instant::now();
        client.get(&path).await?;
        reads.push((began.elapsed(), asked.elapsed()));
    }
    stop.cancel();
    let mut came = 0;
    while let Some(session) = trickling.join_next().await {
        came += session??;
    }
    folding.join_all().await;
    drop(client);
    api.stop().await?;
    pool.close().await;
    let failures = *folds.failures.lock().unwrap_or_else(PoisonError::into_inner);
    let folds = folds.taken.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok(Course { reads, folds, came, failures })
}

async fn runtime_path(database: &Database) -> Result<String, Error> {
    let mut conn = database.connect().await?;
    let id: String = sqlx::query_scalar("select md5('runtime ' || $1)::uuid::text")
        .bind(i64::try_from(RUNTIME).unwrap_or_default())
        .fetch_one(&mut conn)
        .await?;
    Ok(format!("/v1/runtimes/{id}/usage?days=30"))
}

/// What was taken in each part of the time.
fn parts(taken: &[Taken], held: Duration) -> Vec<Summary> {
    let within = |number: u32| {
        let (from, to) = (held * number / PARTS, held * (number + 1) / PARTS);
        let these: Vec<Duration> = taken.iter().filter(|(at, _)| *at >= from && *at < to).map(|(_, took)| *took).collect();
        Summary::of_times(&these)
    };
    (0..PARTS).map(within).collect()
}

fn plot(reads: &[Summary], folds: &[Summary], held: Duration) -> Plot {
    let points = |parts: &[Summary]| {
        let at = (1..=PARTS).map(|number| (held * number / PARTS).as_secs_f64());
        at.zip(parts).map(|(at, part)| (at, part.median)).collect()
    };
    let line = |name: &str, parts: &[Summary]| Line { name: name.to_owned(), points: points(parts) };
    Plot {
        name: "long-transaction".to_owned(),
        caption: format!("Beside a transaction held open, {INFLOW} events a second"),
        x: ("since it began".to_owned(), Unit::Seconds),
        y: ("median".to_owned(), Unit::Seconds),
        lines: vec![line("reads", reads), line("folds", folds)],
    }
}
