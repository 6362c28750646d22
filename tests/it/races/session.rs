//! Database sessions that take one step at a time, and say of each whether it finished or waits for another session.
//!
//! No step is awaited without a bound, and nothing sleeps in the hope that something has happened: whether a session waits is
//! asked of the server (`pg_blocking_pids`).
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use std::time::{Duration, Instant};
use tallybook::db::pool::PgPool;
use tallybook::testing::TestDatabase;
use tokio::task::JoinSet;

/// A step that neither finished nor waits for another session by then is a failure.
const STEP_MAX: Duration = Duration::from_mins(1);
/// How long a step may take before we ask whether it waits.
const POLL: Duration = Duration::from_millis(5);
/// The server's own bounds, should a test go wrong. (The engine's functions have shorter ones of their own.)
const BOUNDS: &str =
    "set lock_timeout = '1min'; set statement_timeout = '2min'; set idle_in_transaction_session_timeout = '5min'";

/// How much of what others commit a transaction sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Isolation {
    ReadCommitted,
    RepeatableRead,
    Serializable,
}

pub(crate) const ISOLATIONS: [Isolation; 3] = [Isolation::ReadCommitted, Isolation::RepeatableRead, Isolation::Serializable];

impl Isolation {
    pub(crate) fn begin(self) -> &'static str {
        match self {
            Self::ReadCommitted => "begin isolation level read committed",
            Self::RepeatableRead => "begin isolation level repeatable read",
            Self::Serializable => "begin isolation level serializable",
        }
    }
}

/// What became of a statement.
pub(crate) type Outcome = Result<(), sqlx::Error>;

/// What became of a step.
#[must_use]
pub(crate) enum Step {
    Finished(Outcome),
    /// It waits for another session; `resume` tells how it ended.
    Waits,
}

pub(crate) struct Session {
    name: &'static str,
    pid: i32,
    observer: PgPool,
    idle: Option<PgConnection>,
    running: JoinSet<(PgConnection, Outcome)>,
}

impl Session {
    pub(crate) async fn open(db: &TestDatabase, name: &'static str) -> Self {
        let mut conn = PgConnection::connect_with(&db.options().application_name(name)).await.unwrap();
        conn.execute(BOUNDS).await.unwrap();
        let pid = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut conn).await.unwrap();
        Self { name, pid, observer: db.pool.clone(), idle: Some(conn), running: JoinSet::new() }
    }

    /// The connection between two steps, for reading values.
    pub(crate) fn conn(&mut self) -> &mut PgConnection {
        self.idle.as_mut().expect("the session is in the middle of a step")
    }

    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }

    /// Begins a transaction and takes its snapshot, as far as its isolation level keeps one.
    pub(crate) async fn begin(&mut self, isolation: Isolation) {
        self.finishes(isolation.begin()).await;
        self.finishes("select 1").await;
    }

    /// Takes a step that may finish, fail or wait.
    pub(crate) async fn step(&mut self, sql: &str) -> Step {
        let mut conn = self.idle.take().expect("the session is in the middle of a step");
        let text = sql.to_owned();
        self.running.spawn(async move {
            let outcome = conn.execute(AssertSqlSafe(text)).await.map(drop);
            if outcome.is_err() {
                // The server tells of an error before it rolls back; whoever looks next is to see what it left. A lost connection left nothing.
                conn.ping().await.ok();
            }
            (conn, outcome)
        });
        self.settled(sql).await
    }

    /// What became of a step that had to wait, now that others have gone on.
    pub(crate) async fn again(&mut self) -> Step {
        self.settled("a step that had to wait").await
    }

    async fn settled(&mut self, sql: &str) -> Step {
        let deadline = Instant::now() + STEP_MAX;
        loop {
            if let Ok(outcome) = tokio::time::timeout(POLL, self.join()).await {
                return Step::Finished(outcome);
            }
            if self.waits().await {
                return Step::Waits;
            }
            assert!(Instant::now() < deadline, "{} neither finished nor waits: {sql}", self.name);
        }
    }

    /// Awaits the end of a step that had to wait.
    pub(crate) async fn resume(&mut self) -> Outcome {
        tokio::time::timeout(STEP_MAX, self.join()).await.unwrap_or_else(|_| panic!("{} still waits", self.name))
    }

    /// Takes a step that has to succeed without waiting for anybody.
    pub(crate) async fn finishes(&mut self, sql: &str) {
        match self.step(sql).await {
            Step::Finished(outcome) => outcome.unwrap_or_else(|error| panic!("{} failed: {error}: {sql}", self.name)),
            Step::Waits => panic!("{} waits: {sql}", self.name),
        }
    }

    /// Takes a step that has to fail with a SQLSTATE, without waiting for anybody; gives the message.
    pub(crate) async fn fails(&mut self, sql: &str, code: &str) -> String {
        match self.step(sql).await {
            Step::Finished(Err(error)) => {
                assert_eq!(code_of(&error), code, "{} failed with another error: {error}: {sql}", self.name);
                error.to_string()
            }
            Step::Finished(Ok(())) => panic!("{} did not fail: {sql}", self.name),
            Step::Waits => panic!("{} waits: {sql}", self.name),
        }
    }

    /// Takes a step that has to wait for another session.
    pub(crate) async fn blocks(&mut self, sql: &str) {
        if let Step::Finished(outcome) = self.step(sql).await {
            panic!("{} did not wait ({outcome:?}): {sql}", self.name);
        }
    }

    pub(crate) async fn commit(&mut self) {
        self.finishes("commit").await;
    }

    async fn join(&mut self) -> Outcome {
        let (conn, outcome) = self.running.join_next().await.expect("a step was taken").expect("a step does not panic");
        self.idle = Some(conn);
        outcome
    }

    async fn waits(&self) -> bool {
        sqlx::query_scalar("select cardinality(pg_blocking_pids($1)) > 0").bind(self.pid).fetch_one(&self.observer).await.unwrap()
    }
}

/// The SQLSTATE of an error that the server gave.
pub(crate) fn code_of(error: &sqlx::Error) -> String {
    error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .unwrap_or_else(|| panic!("not the server's: {error}"))
        .into_owned()
}
