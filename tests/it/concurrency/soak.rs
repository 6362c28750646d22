//! Everybody at full speed: writers, movers, deleters, folds, rebuilds, backfills, readers and checkers at once.
//!
//! `make soak MINUTES=10` runs it for long; the ordinary tests, for some seconds. It prints what was done.
use super::history::{HOST_ERRORS, KEEPER_ERRORS};
use super::host;
use super::write::Write;
use crate::races::session::{ISOLATIONS, Isolation, code_of};
use crate::races::world::{Capture, assert_exact, compare};
use rand::prelude::IndexedRandom;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use sqlx::{AssertSqlSafe, Executor, PgConnection};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tallybook::db::pool::PgPool;
use tallybook::rollup::repair;
use tallybook::testing::results::{self, SOAK};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const WRITERS: u64 = 6;
/// How long the ordinary tests soak.
const SECONDS: u64 = 8;
/// What keepers do, several of them at once.
const KEEPING: [(&str, &str); 9] = [
    (FOLD, "select tallybook.fold(25, 50000)"),
    (FOLD, "select tallybook.fold(3, 2)"),
    (FOLD, "select tallybook.rollup_task_usage_daily()"),
    (REBUILD, "select tallybook.rebuild('2026-01-01', '2026-01-02')"),
    (REBUILD, "select tallybook.rollup_task_usage_daily_window(now() - interval '1 minute', 'infinity')"),
    (REBUILD, "select tallybook.rebuild('-infinity', 'infinity')"),
    (SEAL, "select tallybook.seal('2026-01-01', '2026-01-02', null, 3)"),
    (SEAL, "select tallybook.seal('2026-01-01', '2026-01-03', null, 1000)"),
    (SEAL, "select tallybook.thin('2026-01-01', '2026-01-02')"),
];
/// A third rollup comes, is covered, and goes.
const BACKFILL: [(&str, &str); 5] = [
    ("declare a rollup", "select tallybook.create_rollup('third', '1 hour', array['agent_id', 'project_id', 'model'])"),
    (SLICE, "select tallybook.backfill_slice(4)"),
    (SLICE, "select tallybook.backfill_slice(1000000)"),
    ("settle the views", "select tallybook.settle_views()"),
    ("drop a rollup", "select tallybook.drop_rollup('third')"),
];
/// What dashboards and monitors read besides the now-views.
const MONITORS: [&str; 3] = [
    "select tallybook.task_usage_rollup_lag_seconds()",
    "select count(*) from tallybook.task_usage_daily_dirty",
    "select watermark_at from tallybook.task_usage_rollup_state",
];
/// What a comparison may meet while the third rollup comes and goes.
const ROLLUP_GONE: [&str; 2] = ["42P01", "40001"];
// What is counted under these names makes the figures.
const FOLD: &str = "keeper: fold";
const REBUILD: &str = "keeper: rebuild";
const REPAIR: &str = "keeper: look for drift, to repair it";
const SEAL: &str = "keeper: seal or thin";
const SLICE: &str = "backfill: cover a slice";
const CHECK: &str = "check: exact";
const LOOKS: &str = "reader: two looks agree";
const CONFLICT: &str = "refused with";

/// What was done, and how often.
#[derive(Clone, Default)]
struct Tally(Arc<Mutex<BTreeMap<String, u64>>>);

impl Tally {
    fn count(&self, what: impl Into<String>) {
        *self.0.lock().unwrap().entry(what.into()).or_default() += 1;
    }

    fn of(&self, what: &str) -> u64 {
        self.0.lock().unwrap().get(what).copied().unwrap_or_default()
    }

    /// All whose name begins so.
    fn of_all(&self, prefix: &str) -> u64 {
        self.0.lock().unwrap().iter().filter(|(what, _)| what.starts_with(prefix)).map(|(_, times)| times).sum()
    }
}

/// Under which name a commit in this isolation level is counted.
fn commit_in(isolation: Isolation) -> String {
    format!("commit: {isolation:?}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_drifts_at_full_speed() {
    let seconds = std::env::var("TALLYBOOK_SOAK_MINUTES").map_or(SECONDS, |minutes| minutes.parse::<u64>().unwrap() * 60);
    let seed = results::seed();
    let turns = u64::try_from(host::HOSTS.len()).unwrap();
    println!("soak: {seconds} s over {turns} hosts, seed {seed}");
    let tally = Tally::default();
    for (turn, (name, host)) in (0..).zip(host::HOSTS) {
        let capture = if turn % 2 == 0 { Capture::ByRow } else { Capture::ByStatement };
        soak(host, capture, Duration::from_millis(seconds * 1000 / turns), seed.wrapping_add(turn * 1000), &tally).await;
        println!("soak: {name}: exact");
    }
    for (what, times) in tally.0.lock().unwrap().iter() {
        println!("soak: {times:>9} {what}");
    }
    println!("soak: {:>9} now-views that differed from raw", 0);
    let figures = [
        ("seconds", seconds),
        ("kinds of host", turns),
        ("statements", tally.of_all("writer: ")),
        ("transactions in READ COMMITTED", tally.of(&commit_in(Isolation::ReadCommitted))),
        ("in REPEATABLE READ", tally.of(&commit_in(Isolation::RepeatableRead))),
        ("in SERIALIZABLE", tally.of(&commit_in(Isolation::Serializable))),
        ("conflicts among them", tally.of_all(CONFLICT)),
        ("folds", tally.of(FOLD)),
        ("rebuilds and repairs", tally.of(REBUILD) + tally.of(REPAIR)),
        ("slices covered", tally.of(SLICE)),
        ("comparisons", tally.of(CHECK) + tally.of(LOOKS)),
        // Whoever meets one has not come here.
        ("differences", 0),
    ];
    for (what, times) in &figures[..figures.len() - 1] {
        assert!(*times > 0, "it never came to: {what}");
    }
    SOAK.record(Some(seed), &figures);
}

async fn soak(host: &str, capture: Capture, time: Duration, seed: u64, tally: &Tally) {
    let db = host::database(host, capture).await;
    let stop = CancellationToken::new();
    let mut workers = JoinSet::new();
    for worker in 0..WRITERS {
        workers.spawn(write(connect(&db).await, StdRng::seed_from_u64(seed.wrapping_add(worker)), stop.clone(), tally.clone()));
    }
    for worker in 0..2 {
        workers.spawn(keep(
            connect(&db).await,
            StdRng::seed_from_u64(seed.wrapping_add(100 + worker)),
            stop.clone(),
            tally.clone(),
        ));
    }
    workers.spawn(repair(db.pool.clone(), stop.clone(), tally.clone()));
    workers.spawn(backfill(connect(&db).await, stop.clone(), tally.clone()));
    workers.spawn(read(connect(&db).await, stop.clone(), tally.clone()));
    workers.spawn(check(connect(&db).await, stop.clone(), tally.clone()));
    tokio::select! {
        () = tokio::time::sleep(time) => stop.cancel(),
        // nobody ends before being told to, unless something is wrong
        Some(ended) = workers.join_next() => ended.unwrap(),
    }
    while let Some(ended) = workers.join_next().await {
        ended.unwrap();
    }
    let mut conn = connect(&db).await;
    assert_exact(&mut conn, "the soak").await;
    conn.execute("select tallybook.fold(1000, 50000)").await.unwrap();
    assert_exact(&mut conn, "the soak, folded").await;
}

async fn connect(db: &tallybook::testing::TestDatabase) -> PgConnection {
    let mut conn = db.connect().await;
    conn.execute("set deadlock_timeout = '50ms'; set lock_timeout = '20s'; set statement_timeout = '60s'").await.unwrap();
    conn
}

/// Transactions of some statements each, in any isolation level, with savepoints, delays and any end.
async fn write(mut conn: PgConnection, mut rng: StdRng, stop: CancellationToken, tally: Tally) {
    while !stop.is_cancelled() {
        let isolation = ISOLATIONS.choose(&mut rng).unwrap();
        conn.execute(isolation.begin()).await.unwrap();
        let mut lost = false;
        for _ in 0..rng.random_range(1..5) {
            if rng.random_bool(0.2) {
                conn.execute("savepoint here").await.unwrap();
                lost |= !perform(&mut conn, &Write::random(&mut rng), &tally).await;
                if lost || rng.random_bool(0.5) {
                    conn.execute("rollback to here").await.unwrap();
                    lost = false;
                }
            }
            lost = lost || !perform(&mut conn, &Write::random(&mut rng), &tally).await;
            if lost {
                break;
            }
            if rng.random_bool(0.1) {
                tokio::time::sleep(Duration::from_micros(rng.random_range(0..20_000))).await;
            }
        }
        let end = if lost || rng.random_bool(0.1) { "rollback" } else { "commit" };
        match conn.execute(end).await {
            Ok(_) if end == "commit" && !lost => tally.count(commit_in(*isolation)),
            Ok(_) => tally.count(end),
            Err(error) => tolerate(&error, &HOST_ERRORS, "commit", &tally),
        }
    }
}

async fn perform(conn: &mut PgConnection, write: &Write, tally: &Tally) -> bool {
    match conn.execute(AssertSqlSafe(write.sql.clone())).await {
        Ok(_) => {
            tally.count(format!("writer: {}", write.kind));
            true
        }
        Err(error) => {
            tolerate(&error, &HOST_ERRORS, &write.sql, tally);
            false
        }
    }
}

fn tolerate(error: &sqlx::Error, tolerated: &[&str], sql: &str, tally: &Tally) {
    let code = code_of(error);
    assert!(tolerated.contains(&code.as_str()), "{error}: {sql}");
    tally.count(format!("{CONFLICT} {code}"));
}

async fn keep(mut conn: PgConnection, mut rng: StdRng, stop: CancellationToken, tally: Tally) {
    while !stop.is_cancelled() {
        let (kind, work) = *KEEPING.choose(&mut rng).unwrap();
        match conn.execute(work).await {
            Ok(_) => tally.count(kind),
            Err(error) => tolerate(&error, &KEEPER_ERRORS, work, &tally),
        }
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..30))).await;
    }
}

/// What operators do who do not trust us: verify, in snapshots of their own beside all that happens, and rebuild what differs. Nothing does.
async fn repair(pool: PgPool, stop: CancellationToken, tally: Tally) {
    while !stop.is_cancelled() {
        match repair::repair(&pool).await {
            Ok(report) => {
                assert!(report.days.is_empty() && report.rebuilt.is_empty(), "there was something to repair: {report:?}");
                tally.count(REPAIR);
            }
            Err(repair::Error::Database(error)) => tolerate(&error, &KEEPER_ERRORS, "repair", &tally),
            Err(error) => panic!("{error}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn backfill(mut conn: PgConnection, stop: CancellationToken, tally: Tally) {
    while !stop.is_cancelled() {
        for (kind, work) in BACKFILL {
            match conn.execute(work).await {
                Ok(_) => tally.count(kind),
                Err(error) => tolerate(&error, &KEEPER_ERRORS, work, &tally),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// What a snapshot shows stays as it is, whatever others do.
async fn read(mut conn: PgConnection, stop: CancellationToken, tally: Tally) {
    const LOOK: &str = "select (select md5(string_agg(d::text, ' ' order by d::text)) from tallybook.task_usage_daily_now d)
        || (select coalesce(md5(string_agg(q::text, ' ' order by q::text)), '') from tallybook.task_usage_quarter_hour_now q)";
    while !stop.is_cancelled() {
        conn.execute("begin isolation level repeatable read read only").await.unwrap();
        let before: Result<Option<String>, _> = sqlx::query_scalar(LOOK).fetch_one(&mut conn).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        let after: Result<Option<String>, _> = sqlx::query_scalar(LOOK).fetch_one(&mut conn).await;
        assert_eq!(before.unwrap(), after.unwrap(), "a snapshot changed");
        tally.count(LOOKS);
        conn.execute("commit").await.unwrap();
        for monitor in MONITORS {
            conn.execute(monitor).await.unwrap();
            tally.count("reader: monitor");
        }
    }
}

async fn check(mut conn: PgConnection, stop: CancellationToken, tally: Tally) {
    while !stop.is_cancelled() {
        match compare(&mut conn, true, "a moment of the soak").await {
            Ok(()) => tally.count(CHECK),
            Err(error) => tolerate(&error, &ROLLUP_GONE, "compare", &tally),
        }
    }
}
