//! Connections to the database, through a pooler or not.
//!
//! A pooler such as PgBouncer in transaction mode hands each transaction to another session: what was prepared or set in one is not
//! there in the next. [`PgPool`] finds out by itself what it talks to (see [`route`]), and keeps to what holds there:
//!
//! | | a session of our own | through a pooler |
//! |---|---|---|
//! | statements | prepared once, by name | unnamed: parsed each time |
//! | a statement by itself | sent as it is | in a transaction of its own |
//! | settings | given when connecting | `set local` at the begin of each transaction |
//!
//! Invariant: through a pooler, nothing is sent outside of a transaction but its begin. What needs a session (migrations: their
//! lock is the session's) asks for [`PgPool::session_options`].
//!
//! The crate uses this type and [`Session`](super::session::Session) where other programs would use those of the driver.
use super::session::Transaction;
use super::source::Source;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt, StreamExt, TryStreamExt, future::BoxFuture};
use log::LevelFilter;
use route::Route;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{AssertSqlSafe, Describe, Either, Execute, Executor, Postgres, SqlStr};
use std::iter;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::OnceCell;
use tokio::time::{sleep, timeout};

pub mod route;

/// How long a caller waits for a free connection before it is told that the database is busy or away.
pub(super) const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a database that is away is tried again within that time.
const RETRY_EVERY: Duration = Duration::from_millis(100);
/// Begins a transaction that is one statement.
const BEGIN_ONE: &str = "begin isolation level read committed";

/// What is needed has no session to be done in.
#[derive(Debug, thiserror::Error)]
#[error(
    "is reached through a connection pooler, and this needs a session of its own (what it locks or exports would be left behind in \
     one of the pooler's); name the database's own address in DATABASE_DIRECT_URL"
)]
pub struct NeedsSession;

/// Connections to one database, opened when they are first needed. Clones share them.
#[derive(Clone, Debug)]
pub struct PgPool {
    inner: Arc<Inner>,
    statement_timeout: Option<Duration>,
}

/// Connections of a pool, at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connections {
    /// That somebody uses.
    pub busy: usize,
    /// That nobody uses.
    pub idle: usize,
    /// That there may be.
    pub max: usize,
}

#[derive(Debug)]
struct Inner {
    options: PgConnectOptions,
    direct: Option<PgConnectOptions>,
    connections_max: u32,
    opened: OnceCell<Opened>,
    source: RwLock<Option<Arc<Source>>>,
}

#[derive(Debug)]
struct Opened {
    route: Route,
    pool: sqlx::PgPool,
}

/// A pool of at most `connections_max` connections: a database that is away when the service starts is waited for by whoever
/// asks, not here. `direct` leads past a pooler, where there is one.
pub fn lazy(options: PgConnectOptions, direct: Option<PgConnectOptions>, connections_max: u32) -> PgPool {
    PgPool::new(Inner { options, direct, connections_max, opened: OnceCell::new(), source: RwLock::default() })
}

/// Of sessions of our own.
impl From<sqlx::PgPool> for PgPool {
    fn from(pool: sqlx::PgPool) -> Self {
        let (options, connections_max) = ((*pool.connect_options()).clone(), pool.options().get_max_connections());
        let opened = OnceCell::new_with(Some(Opened { route: Route::Session, pool }));
        Self::new(Inner { options, direct: None, connections_max, opened, source: RwLock::default() })
    }
}

impl PgPool {
    fn new(inner: Inner) -> Self {
        Self { inner: Arc::new(inner), statement_timeout: None }
    }

    /// The same connections, for whoever waits no longer than `limit`: the server ends what takes longer in a transaction begun here.
    #[must_use]
    pub fn with_statement_timeout(&self, limit: Duration) -> Self {
        Self { statement_timeout: Some(limit), ..self.clone() }
    }

    /// Begins a transaction: READ COMMITTED, whatever the database's default.
    pub async fn begin(&self) -> Result<Transaction, sqlx::Error> {
        self.begin_with(BEGIN_ONE).await
    }

    /// Begins a transaction with these words, which may set what holds in it.
    pub async fn begin_with(&self, begin: &'static str) -> Result<Transaction, sqlx::Error> {
        let opened = self.opened().await?;
        let limit = self.statement_timeout.map(|limit| format!("set local statement_timeout = {}", limit.as_millis()));
        let settings = (opened.route == Route::Pooler).then(|| route::SET_LOCAL.to_owned()).into_iter().chain(limit);
        let words: Vec<String> = iter::once(begin.to_owned()).chain(settings).collect();
        let (pool, words) = (opened.pool.clone(), AssertSqlSafe(words.join("; ")));
        // The driver (as of 0.9.0) forgets what is dropped while it begins, and its connection would go to the next caller with a
        // transaction open. So this goes on when the caller does not.
        #[expect(clippy::disallowed_methods, reason = "whoever closes the pool waits for its connections")]
        let beginning = tokio::spawn(async move { pool.begin_with(words).await });
        let transaction = beginning.await.map_err(|_| sqlx::Error::WorkerCrashed)??;
        Ok(Transaction::new(transaction, opened.route))
    }

    /// Connects once and sees whether the database answers, for a clear word on why it does not: a pool only knows that time ran out.
    pub async fn try_connect(&self) -> Result<(), sqlx::Error> {
        if let Some(opened) = self.inner.opened.get() {
            return opened.route.try_connect(&self.inner.options).await;
        }
        let route = Route::find(&self.inner.options).await?;
        // Somebody else may have been faster, with the same finding.
        drop(self.inner.opened.set(self.opening(route)));
        Ok(())
    }

    /// How a session of one's own is had: as ours are, or past the pooler.
    pub async fn session_options(&self) -> Result<Result<PgConnectOptions, NeedsSession>, sqlx::Error> {
        let options = match (self.opened().await?.route, &self.inner.direct) {
            (Route::Session, _) => &self.inner.options,
            (Route::Pooler, Some(direct)) => direct,
            (Route::Pooler, None) => return Ok(Err(NeedsSession)),
        };
        Ok(Ok(Route::Session.options(options)))
    }

    /// The source tables as they are: read once, and again when they were said to have changed, or may have been given what they lacked.
    pub async fn source(&self) -> Result<Arc<Source>, sqlx::Error> {
        let known = self.inner.source.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(source) = known.filter(|source| !source.is_old()) {
            return Ok(source);
        }
        let source = Arc::new(Source::read(self).await?);
        *self.inner.source.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&source));
        Ok(source)
    }

    /// Lets the source tables be read again: they are not as they were.
    pub fn forget_source(&self) {
        *self.inner.source.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Whether a pooler is between us and the database; unknown before the first contact.
    pub fn is_pooled(&self) -> Option<bool> {
        self.inner.opened.get().map(|opened| opened.route == Route::Pooler)
    }

    /// How many connections there are, busy and idle, and how many there may be.
    pub fn connections(&self) -> Connections {
        let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let (all, idle) = self.inner.opened.get().map_or((0, 0), |opened| (count(opened.pool.size()), opened.pool.num_idle()));
        Connections { busy: all.saturating_sub(idle), idle, max: count(self.inner.connections_max) }
    }

    /// Closes all connections, and lets nobody have a new one.
    pub async fn close(&self) {
        let opened = self.inner.opened.get_or_init(|| async { self.opening(Route::Session) }).await;
        opened.pool.close().await;
    }

    fn opening(&self, route: Route) -> Opened {
        Opened { route, pool: connect_lazy(route.options(&self.inner.options), self.inner.connections_max) }
    }

    async fn opened(&self) -> Result<&Opened, sqlx::Error> {
        if let Some(opened) = self.inner.opened.get() {
            return Ok(opened);
        }
        let opening = self.inner.opened.get_or_try_init(|| async { Ok(self.opening(find(&self.inner.options).await?)) });
        timeout(ACQUIRE_TIMEOUT, opening).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
    }
}

/// Waits, as a pool does, for a server that may be about to start.
async fn find(options: &PgConnectOptions) -> Result<Route, sqlx::Error> {
    let since = Instant::now();
    loop {
        match Route::find(options).await {
            Err(sqlx::Error::Io(_)) if since.elapsed() < ACQUIRE_TIMEOUT => sleep(RETRY_EVERY).await,
            found => return found,
        }
    }
}

pub(super) fn connect_lazy(options: PgConnectOptions, connections_max: u32) -> sqlx::PgPool {
    PgPoolOptions::new()
        .max_connections(connections_max)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .acquire_time_level(LevelFilter::Trace)
        .connect_lazy_with(options)
}

/// One statement, in a transaction of its own where there is a pooler.
impl<'p> Executor<'p> for &'_ PgPool {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, sqlx::Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let pool = self.clone();
        let answer = async move {
            let opened = pool.opened().await?;
            if opened.route == Route::Session {
                return Ok((&opened.pool).fetch_many(query));
            }
            let mut transaction = pool.begin().await?;
            let rows: Vec<_> = transaction.fetch_many(query).try_collect().await?;
            transaction.commit().await?;
            Ok::<BoxStream<'e, _>, sqlx::Error>(stream::iter(rows.into_iter().map(Ok)).boxed())
        };
        answer.into_stream().try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let pool = self.clone();
        let answer = async move {
            let opened = pool.opened().await?;
            if opened.route == Route::Session {
                return (&opened.pool).fetch_optional(query).await;
            }
            let mut transaction = pool.begin().await?;
            let row = transaction.fetch_optional(query).await?;
            transaction.commit().await?;
            Ok(row)
        };
        answer.boxed()
    }

    fn prepare_with<'e>(self, sql: SqlStr, parameters: &'e [PgTypeInfo]) -> BoxFuture<'e, Result<PgStatement, sqlx::Error>>
    where
        'p: 'e,
    {
        let pool = self.clone();
        async move { pool.opened().await?.pool.prepare_with(sql, parameters).await }.boxed()
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, sqlx::Error>>
    where
        'p: 'e,
    {
        let pool = self.clone();
        async move { pool.opened().await?.pool.describe(sql).await }.boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[tokio::test]
    async fn what_was_begun_for_nobody_is_no_transaction_of_the_next() {
        let db = testing::database().await;
        let pool = lazy(db.options(), None, 1);
        pool.execute("create table before ()").await.unwrap();
        let begin = pool.begin_with("begin isolation level repeatable read read only");
        assert!(begin.now_or_never().is_none(), "it was given up");
        pool.execute("create table after ()").await.unwrap();
        let kept: bool = sqlx::query_scalar("select to_regclass('public.after') is not null").fetch_one(&db.pool).await.unwrap();
        assert!(kept);
    }
}
