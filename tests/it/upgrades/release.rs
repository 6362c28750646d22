//! A release as the database sees it: writers, a fold loop and readers, with the functions and views of its version.
use crate::outage::{PATIENCE, POLL};
use sqlx::PgConnection;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use tallybook::testing::TestDatabase;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Writers at once.
const WRITERS: i64 = 3;
/// How much of each kind is done at least between two migrations.
const WORK: usize = 5;
/// One tick, as every release calls it.
const TICK: &str = "select tallybook.rollup_task_usage_daily()";

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) writes: usize,
    pub(super) ticks: usize,
    pub(super) reads: usize,
}

#[derive(Debug, Default)]
struct Counters {
    writes: AtomicUsize,
    ticks: AtomicUsize,
    reads: AtomicUsize,
}

impl Counters {
    fn now(&self) -> Tally {
        let [writes, ticks, reads] = [&self.writes, &self.ticks, &self.reads].map(|counter| counter.load(Ordering::Relaxed));
        Tally { writes, ticks, reads }
    }
}

pub(super) struct Release {
    stop: CancellationToken,
    done: Arc<Counters>,
    work: JoinSet<()>,
    folds: bool,
    shows: bool,
}

impl Release {
    /// Does what the version of the database can do.
    pub(super) async fn start(db: &TestDatabase) -> Self {
        let exists = "select to_regproc('tallybook.rollup_task_usage_daily') is not null, to_regclass('tallybook.task_usage_daily_now') is not null";
        let (folds, shows): (bool, bool) = sqlx::query_as(exists).fetch_one(&db.pool).await.unwrap();
        let mut release = Self { stop: CancellationToken::new(), done: Arc::default(), work: JoinSet::new(), folds, shows };
        for writer in 0..WRITERS {
            release.work.spawn(write(db.connect().await, writer, release.stop.clone(), Arc::clone(&release.done)));
        }
        if folds {
            release.work.spawn(fold(db.connect().await, release.stop.clone(), Arc::clone(&release.done)));
        }
        if shows {
            release.work.spawn(read(db.connect().await, release.stop.clone(), Arc::clone(&release.done)));
        }
        release
    }

    /// Waits until each of them has done something more.
    pub(super) async fn wait_for_work(&self) {
        let (began, before) = (Instant::now(), self.done.now());
        loop {
            let now = self.done.now();
            let has_folded = !self.folds || now.ticks >= before.ticks + WORK;
            let has_read = !self.shows || now.reads >= before.reads + WORK;
            if now.writes >= before.writes + WORK && has_folded && has_read {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "{before:?} {now:?}: somebody is stuck, or has failed");
            tokio::time::sleep(POLL).await;
        }
    }

    /// Lets each finish what it does; fails where one has failed.
    pub(super) async fn stop(mut self) -> Tally {
        self.stop.cancel();
        while let Some(ended) = self.work.join_next().await {
            ended.unwrap();
        }
        self.done.now()
    }
}

/// Whether the same may be tried again: it lost against another transaction, or its snapshot is older than a table or a view.
fn may_be_repeated(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| ["40001", "40P01"].contains(&&*code))
}

async fn write(mut conn: PgConnection, writer: i64, stop: CancellationToken, done: Arc<Counters>) {
    let statements: Vec<&str> = include_str!("write.sql").split(";\n").filter(|text| !text.trim().is_empty()).collect();
    for (number, statement) in (writer..).zip(statements.iter().cycle()) {
        if stop.is_cancelled() {
            return;
        }
        match sqlx::query(*statement).bind(number).execute(&mut conn).await {
            Ok(_) => done.writes.fetch_add(1, Ordering::Relaxed),
            Err(error) if may_be_repeated(&error) => continue,
            Err(error) => panic!("{statement}: {error}"),
        };
    }
}

async fn fold(mut conn: PgConnection, stop: CancellationToken, done: Arc<Counters>) {
    while !stop.is_cancelled() {
        match sqlx::query(TICK).execute(&mut conn).await {
            Ok(_) => done.ticks.fetch_add(1, Ordering::Relaxed),
            Err(error) if may_be_repeated(&error) => continue,
            Err(error) => panic!("a tick failed: {error}"),
        };
    }
}

/// Compares every key of the now-views with the sums of the raw rows, in the snapshot of one statement.
async fn read(mut conn: PgConnection, stop: CancellationToken, done: Arc<Counters>) {
    while !stop.is_cancelled() {
        let differing: Result<(i64, i64, i64), _> =
            sqlx::query_as(include_str!("../races/exact.sql")).bind(false).fetch_one(&mut conn).await;
        match differing {
            Ok(differing) => {
                assert_eq!(differing, (0, 0, 0), "keys differ");
                done.reads.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) if may_be_repeated(&error) => {}
            Err(error) => panic!("a read failed: {error}"),
        }
    }
}
