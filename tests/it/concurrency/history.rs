//! Histories of several sessions at once, step by step: what may happen, and how it is lived through.
use super::write::{Write, write};
use crate::races::session::{ISOLATIONS, Isolation, Outcome, Session, Step, code_of};
use crate::races::world::assert_exact;
use proptest::prelude::*;
use sqlx::{Executor, PgConnection};
use tallybook::testing::TestDatabase;

/// Sessions that write.
pub(super) const WRITERS: usize = 3;
/// What may become of a host's statement when another one gets in its way, or when it asks for what cannot be: it would without us, too.
pub(super) const HOST_ERRORS: [&str; 8] = [
    "40001", // serialization_failure
    "40P01", // deadlock_detected
    "23502", // not_null_violation
    "23503", // foreign_key_violation
    "23505", // unique_violation
    "21000", // cardinality_violation: one statement reports one identity twice
    "25P02", // in_failed_sql_transaction
    "27000", // triggered_data_change_violation
];
/// What the keeper of the rollups does.
pub(super) const MAINTENANCE: [&str; 17] = [
    "select tallybook.fold(25, 50000)",
    "select tallybook.rollup_task_usage_daily()",
    "select tallybook.fold(1, 1)",
    "select tallybook.fold(2, 3)",
    "select tallybook.rebuild('2026-01-01', '2026-01-02')",
    "select tallybook.rollup_task_usage_daily_window('-infinity', 'infinity')",
    "select tallybook.rebuild_rollup('task_usage_daily', '2026-01-01', '2026-01-02')",
    "select tallybook.rebuild_rollup('third', '-infinity', 'infinity')",
    "select tallybook.create_rollup('third', '1 hour', array['agent_id', 'model'])",
    "select tallybook.backfill_slice(3)",
    "select tallybook.settle_views()",
    "select tallybook.drop_rollup('third')",
    "select tallybook.backfill_slice(1000)",
    "select tallybook.seal('2026-01-01', '2026-01-02', null, 2)",
    "select tallybook.seal('2026-01-01', '2026-01-04', null, 1000)",
    "select tallybook.thin('2026-01-01', '2026-01-03')",
    "select tallybook.purge_sealed('agent', one('agent', 1)) + tallybook.purge_sealed('runtime', one('runtime', 0))",
];
/// What the keeper may be told: somebody holds the lock, or the third rollup is there already, or not there, or lacks days that were to be sealed.
pub(super) const KEEPER_ERRORS: [&str; 5] = ["55P03", "23505", "42P01", "40P01", "55000"];

/// One step of one session.
#[derive(Clone, Debug)]
pub(super) enum Move {
    Begin(usize, Isolation),
    Write(usize, Write),
    Savepoint(usize),
    RollBackToSavepoint(usize),
    Commit(usize),
    RollBack(usize),
    /// A session looks at the now-views in its own snapshot.
    Look(usize),
    Maintain(usize),
}

pub(super) fn moves() -> impl Strategy<Value = Vec<Move>> {
    let who = 0..WRITERS;
    let one = prop_oneof![
        4 => (who.clone(), prop::sample::select(&ISOLATIONS[..])).prop_map(|(who, isolation)| Move::Begin(who, isolation)),
        12 => (who.clone(), write()).prop_map(|(who, write)| Move::Write(who, write)),
        1 => who.clone().prop_map(Move::Savepoint),
        1 => who.clone().prop_map(Move::RollBackToSavepoint),
        4 => who.clone().prop_map(Move::Commit),
        1 => who.clone().prop_map(Move::RollBack),
        2 => who.prop_map(Move::Look),
        5 => (0..MAINTENANCE.len()).prop_map(Move::Maintain),
    ];
    prop::collection::vec(one, 1..60)
}

/// What histories came to.
#[derive(Clone, Debug, Default)]
pub(super) struct Lived {
    histories: u64,
    steps: u64,
    /// Transactions, by their level as in [`ISOLATIONS`].
    begun: [u64; 3],
    maintained: u64,
    compared: u64,
}

impl Lived {
    pub(super) fn add(&mut self, other: &Self) {
        self.histories += other.histories;
        self.steps += other.steps;
        for (all, begun) in self.begun.iter_mut().zip(other.begun) {
            *all += begun;
        }
        self.maintained += other.maintained;
        self.compared += other.compared;
    }

    /// As they are recorded. Whoever gets so far has met no difference.
    pub(super) fn figures(&self) -> [(&'static str, u64); 8] {
        let [read_committed, repeatable_read, serializable] = self.begun;
        [
            ("histories", self.histories),
            ("steps", self.steps),
            ("transactions in READ COMMITTED", read_committed),
            ("in REPEATABLE READ", repeatable_read),
            ("in SERIALIZABLE", serializable),
            ("folds, slices and rebuilds", self.maintained),
            ("comparisons", self.compared),
            ("differences", 0),
        ]
    }
}

/// Compares every now-view with raw.
struct Judge {
    conn: PgConnection,
    lived: Lived,
}

impl Judge {
    async fn assert_exact(&mut self, after: &str) {
        assert_exact(&mut self.conn, after).await;
        self.lived.compared += 1;
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Transaction {
    None,
    Open,
    Failed,
}

/// A session, and where it stands.
struct Player {
    session: Session,
    transaction: Transaction,
    savepoint: bool,
    waits: bool,
    tolerated: &'static [&'static str],
}

impl Player {
    async fn open(db: &TestDatabase, name: &'static str, tolerated: &'static [&'static str]) -> Self {
        let mut session = Session::open(db, name).await;
        session.conn().execute("set deadlock_timeout = '20ms'").await.unwrap();
        Self { session, transaction: Transaction::None, savepoint: false, waits: false, tolerated }
    }

    /// Runs a statement as far as it goes; true when something was committed by it.
    async fn run(&mut self, sql: &str) -> bool {
        match self.session.step(sql).await {
            Step::Waits => {
                self.waits = true;
                false
            }
            Step::Finished(outcome) => self.settle(&outcome, sql),
        }
    }

    /// Goes on with a statement that waited, if nobody is in its way any more.
    async fn go_on(&mut self) -> bool {
        match self.session.again().await {
            Step::Waits => false,
            Step::Finished(outcome) => {
                self.waits = false;
                self.settle(&outcome, "what waited")
            }
        }
    }

    fn settle(&mut self, outcome: &Outcome, sql: &str) -> bool {
        if let Err(error) = outcome {
            assert!(self.tolerated.contains(&code_of(error).as_str()), "{error}: {sql}");
            if self.transaction == Transaction::Open {
                self.transaction = Transaction::Failed;
            }
            return false;
        }
        self.transaction == Transaction::None
    }

    async fn end(&mut self, how: &str) -> bool {
        self.transaction = Transaction::None;
        self.savepoint = false;
        self.run(how).await
    }

    async fn take(&mut self, step: &Move, judge: &mut Judge) -> bool {
        match (step, self.transaction) {
            (Move::Begin(_, isolation), Transaction::None) => {
                self.session.begin(*isolation).await;
                let level = ISOLATIONS.iter().position(|level| level == isolation).unwrap();
                judge.lived.begun[level] += 1;
                self.transaction = Transaction::Open;
                false
            }
            (Move::Write(_, write), Transaction::None | Transaction::Open) => self.run(&write.sql).await,
            (Move::Savepoint(_), Transaction::Open) => {
                self.savepoint = true;
                self.run("savepoint here").await
            }
            (Move::RollBackToSavepoint(_), _) if self.savepoint => {
                self.transaction = Transaction::Open;
                self.run("rollback to here").await
            }
            (Move::Commit(_), Transaction::Open | Transaction::Failed) => self.end("commit").await,
            (Move::RollBack(_), Transaction::Open | Transaction::Failed) => self.end("rollback").await,
            (Move::Look(_), Transaction::Open) => {
                self.look(judge).await;
                false
            }
            (Move::Maintain(which), _) => {
                judge.lived.maintained += 1;
                self.run(MAINTENANCE[*which]).await
            }
            _ => false,
        }
    }

    /// I1 holds in the transaction's own snapshot, with what it has written itself; a view made since may refuse an old one.
    async fn look(&mut self, judge: &mut Judge) {
        let looked: Result<(i64, i64, i64), _> =
            sqlx::query_as(include_str!("../races/exact.sql")).bind(false).fetch_one(self.session.conn()).await;
        match looked {
            Ok(differing) => {
                assert_eq!(differing, (0, 0, 0), "in the snapshot of a transaction");
                judge.lived.compared += 1;
            }
            Err(error) => {
                assert_eq!(code_of(&error), "40001", "{error}");
                self.transaction = Transaction::Failed;
            }
        }
        judge.assert_exact("somebody looked").await;
    }
}

/// Lives through the moves, and compares every now-view with raw whenever something was committed.
pub(super) async fn live_through(db: &TestDatabase, moves: &[Move]) -> Lived {
    let lived = Lived { histories: 1, ..Lived::default() };
    let mut judge = Judge { conn: db.connect().await, lived };
    let mut players = Vec::with_capacity(WRITERS + 1);
    for name in ["first", "second", "third"] {
        players.push(Player::open(db, name, &HOST_ERRORS).await);
    }
    players.push(Player::open(db, "keeper", &KEEPER_ERRORS).await);
    for (number, step) in moves.iter().enumerate() {
        let who = match step {
            Move::Maintain(_) => WRITERS,
            Move::Begin(who, _) | Move::Write(who, _) => *who,
            Move::Savepoint(who) | Move::RollBackToSavepoint(who) | Move::Commit(who) | Move::RollBack(who) | Move::Look(who) => {
                *who
            }
        };
        if !players[who].waits {
            judge.lived.steps += 1;
            if players[who].take(step, &mut judge).await {
                judge.assert_exact(&format!("move {number}: {step:?}")).await;
            }
        }
        let_others_go_on(&mut players, &mut judge).await;
    }
    // whoever waits, waits for somebody who can end
    while players.iter().any(|player| player.transaction != Transaction::None || player.waits) {
        for who in 0..players.len() {
            if players[who].transaction != Transaction::None && !players[who].waits && players[who].end("commit").await {
                judge.assert_exact("the last commits").await;
            }
            let_others_go_on(&mut players, &mut judge).await;
        }
    }
    judge.conn.execute("select tallybook.fold(25, 50000)").await.unwrap();
    judge.assert_exact("the last fold").await;
    judge.lived
}

async fn let_others_go_on(players: &mut [Player], judge: &mut Judge) {
    for player in players.iter_mut().filter(|player| player.waits) {
        if player.go_on().await {
            judge.assert_exact("somebody who had waited went on").await;
        }
    }
}
