//! Transactions, and what can be asked in them, whatever lies between us and the database.
use super::pool::route::Route;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArguments, PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{Describe, Either, Execute, Executor, PgConnection, Postgres, SqlStr};
use std::fmt;
use std::ops::{Deref, DerefMut};

/// A server's session: for the length of a transaction, or a connection that somebody holds.
pub struct Session<'c> {
    held: Held<'c>,
    route: Route,
}

enum Held<'c> {
    Transaction(sqlx::Transaction<'static, Postgres>),
    Connection(&'c mut PgConnection),
}

impl<'c> From<&'c mut PgConnection> for Session<'c> {
    fn from(connection: &'c mut PgConnection) -> Self {
        Self { held: Held::Connection(connection), route: Route::Session }
    }
}

impl Session<'_> {
    fn connection(&mut self) -> &mut PgConnection {
        match &mut self.held {
            Held::Transaction(transaction) => transaction,
            Held::Connection(connection) => connection,
        }
    }
}

impl fmt::Debug for Session<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("route", &self.route).finish_non_exhaustive()
    }
}

/// A transaction. Dropped without [`Transaction::commit`] it is rolled back.
#[derive(Debug)]
pub struct Transaction(Session<'static>);

impl Transaction {
    pub(super) fn new(transaction: sqlx::Transaction<'static, Postgres>, route: Route) -> Self {
        Self(Session { held: Held::Transaction(transaction), route })
    }

    /// Commits it.
    pub async fn commit(self) -> Result<(), sqlx::Error> {
        match self.0.held {
            Held::Transaction(transaction) => transaction.commit().await,
            Held::Connection(_) => Ok(()),
        }
    }

    /// Rolls it back, and waits for that.
    pub async fn rollback(self) -> Result<(), sqlx::Error> {
        match self.0.held {
            Held::Transaction(transaction) => transaction.rollback().await,
            Held::Connection(_) => Ok(()),
        }
    }
}

impl Deref for Transaction {
    type Target = Session<'static>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

/// A query that is prepared without a name where the session is lent: a name would be there for others, and not for us.
struct Unnamed<E>(E);

impl<'q, E: Execute<'q, Postgres>> Execute<'q, Postgres> for Unnamed<E> {
    fn sql(self) -> SqlStr {
        self.0.sql()
    }

    fn statement(&self) -> Option<&PgStatement> {
        self.0.statement()
    }

    fn take_arguments(&mut self) -> Result<Option<PgArguments>, BoxDynError> {
        self.0.take_arguments()
    }

    fn persistent(&self) -> bool {
        false
    }
}

impl<'c> Executor<'c> for &'c mut Session<'_> {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        match self.route {
            Route::Session => self.connection().fetch_many(query),
            Route::Pooler => self.connection().fetch_many(Unnamed(query)),
        }
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        match self.route {
            Route::Session => self.connection().fetch_optional(query),
            Route::Pooler => self.connection().fetch_optional(Unnamed(query)),
        }
    }

    fn prepare_with<'e>(self, sql: SqlStr, parameters: &'e [PgTypeInfo]) -> BoxFuture<'e, Result<PgStatement, sqlx::Error>>
    where
        'c: 'e,
    {
        self.connection().prepare_with(sql, parameters)
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, sqlx::Error>>
    where
        'c: 'e,
    {
        self.connection().describe(sql)
    }
}
