//! Any two changes at once, in every order of begin, statement and commit, with maintenance in between.
use super::Played;
use super::changes::{CHANGES, Change, HOST_CONFLICTS};
use super::session::{ISOLATIONS, Isolation, Outcome, Session, Step, code_of};
use super::world::{Capture, assert_equals_raw, database, fold_exactly, reset};
use sqlx::{AssertSqlSafe, Executor, PgConnection};

#[derive(Clone, Copy, Debug)]
enum Move {
    Begin(usize),
    Act(usize),
    Commit(usize),
}
use Move::{Act, Begin, Commit};

/// Mirrored, since every pair of changes comes both ways round.
const ORDERS: [[Move; 6]; 3] = [
    [Begin(0), Begin(1), Act(0), Act(1), Commit(0), Commit(1)],
    [Begin(0), Begin(1), Act(0), Act(1), Commit(1), Commit(0)],
    // the second one's snapshot, where it keeps one, is older than what the first did
    [Begin(0), Begin(1), Act(0), Commit(0), Act(1), Commit(1)],
];

/// What runs after the first one's statement, and again after its commit.
const MAINTENANCE: [Option<&str>; 4] = [
    None,
    Some("select tallybook.fold(25, 50000)"),
    Some("select tallybook.fold(1, 1)"),
    Some("select tallybook.rebuild('2026-01-02', '2026-01-03')"),
];

/// One of two transactions: whether its statement waits, has failed, or its transaction has ended.
struct Writer<'a> {
    session: Session,
    change: &'a Change,
    waits: bool,
    ended: bool,
}

impl Writer<'_> {
    async fn take(&mut self, step: Move, isolation: Isolation) {
        match step {
            Begin(_) => self.session.begin(isolation).await,
            Act(_) => match self.session.step(self.change.sql).await {
                Step::Finished(outcome) => self.settle(outcome).await,
                Step::Waits => self.waits = true,
            },
            Commit(_) if self.waits || self.ended => {}
            Commit(_) => self.end("commit").await,
        }
    }

    /// Goes on with a statement that waited, now that the other transaction has ended.
    async fn go_on(&mut self) {
        if std::mem::take(&mut self.waits) {
            let outcome = self.session.resume().await;
            self.settle(outcome).await;
        }
        if !self.ended {
            self.end("commit").await;
        }
    }

    async fn settle(&mut self, outcome: Outcome) {
        if let Err(error) = outcome {
            assert!(HOST_CONFLICTS.contains(&code_of(&error).as_str()), "{}: {error}", self.change.name);
            self.end("rollback").await;
        }
    }

    async fn end(&mut self, how: &str) {
        self.ended = true;
        if let Step::Finished(Err(error)) = self.session.step(how).await {
            // a serializable transaction may learn at its commit that it has to be tried again
            assert_eq!(code_of(&error), "40001", "{}: {error}", self.change.name);
        }
    }
}

async fn race(
    writers: &mut [Writer<'_>; 2],
    order: [Move; 6],
    isolation: Isolation,
    maintenance: Option<&str>,
    conn: &mut PgConnection,
) {
    let after = format!("{} | {} | {order:?} | {isolation:?} | {maintenance:?}", writers[0].change.name, writers[1].change.name);
    for step in order {
        let (Begin(who) | Act(who) | Commit(who)) = step;
        writers[who].take(step, isolation).await;
        if matches!(step, Commit(_)) {
            assert_equals_raw(conn, &after).await;
        }
        if let (Some(sql), Act(0) | Commit(0)) = (maintenance, step) {
            conn.execute(AssertSqlSafe(sql.to_owned())).await.unwrap();
        }
    }
    // whoever still waits, waits for the other, who is through
    writers.sort_by_key(|writer| writer.waits);
    for writer in writers.iter_mut() {
        writer.go_on().await;
    }
    fold_exactly(conn, &after).await;
}

/// Each ordered pair of changes meets in one order in each isolation level, so that the two of them meet in all; set
/// `TALLYBOOK_RACES=all` to run every order of every pair.
async fn race_all(isolation: Isolation, capture: Capture) {
    let all = std::env::var("TALLYBOOK_RACES").is_ok_and(|value| value == "all");
    let db = database(capture).await;
    let mut conn = db.connect().await;
    let mut played = Played::default();
    let mut sessions = [Session::open(&db, "first").await, Session::open(&db, "second").await];
    for (row, first) in CHANGES.iter().enumerate() {
        for (column, second) in CHANGES.iter().enumerate() {
            let chosen = row + 2 * column + ISOLATIONS.iter().position(|level| *level == isolation).unwrap();
            for turn in if all { 0..ORDERS.len() } else { chosen % ORDERS.len()..chosen % ORDERS.len() + 1 } {
                reset(&mut conn).await;
                let mut writers = sessions.map(|session| Writer { session, change: first, waits: false, ended: false });
                writers[1].change = second;
                let maintenance = MAINTENANCE[(row + column + turn) % MAINTENANCE.len()];
                race(&mut writers, ORDERS[turn], isolation, maintenance, &mut conn).await;
                played.count(isolation);
                sessions = writers.map(|writer| writer.session);
            }
        }
    }
    played.record();
}

#[tokio::test]
async fn two_read_committed_writers_lose_nothing() {
    race_all(Isolation::ReadCommitted, Capture::ByStatement).await;
}

#[tokio::test]
async fn two_repeatable_read_writers_lose_nothing() {
    race_all(Isolation::RepeatableRead, Capture::ByRow).await;
}

#[tokio::test]
async fn two_serializable_writers_lose_nothing() {
    race_all(Isolation::Serializable, Capture::ByStatement).await;
}
