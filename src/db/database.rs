//! An open database for a command: somebody else's, or the private one, started if need be.
use super::error::{Cause, cause};
use super::{pool, schema};
use crate::config::Place;
use crate::embedded::{self, PrivatePostgres};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection, PgPool};
use std::time::Duration;

/// How long a server may take to let us in.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections of one command.
const CONNECTIONS_MAX: u32 = 4;

/// What a command needs of the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schema {
    /// Every migration in place; the private database applies missing ones by itself.
    Current,
    /// Whatever is there.
    Any,
}

/// Why a database could not be opened or closed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody answers.
    #[error("{place} does not answer: {reason}; check that PostgreSQL runs there and that DATABASE_URL is right")]
    Unreachable {
        /// Which database.
        place: String,
        /// What the network said.
        reason: String,
    },
    /// The server answers, and does not let us in.
    #[error("{place} refuses the connection: {reason}; check user, password and database of DATABASE_URL")]
    Refused {
        /// Which database.
        place: String,
        /// What the server said.
        reason: String,
    },
    /// It is not a database that this Tallybook works with.
    #[error("{place} {source}")]
    Schema {
        /// Which database.
        place: String,
        /// What is wrong with it.
        source: schema::Error,
    },
    /// The private PostgreSQL could not be started or stopped.
    #[error(transparent)]
    Private(#[from] embedded::Error),
}

/// Does what blocks with the private PostgreSQL, off the threads that requests need.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, embedded::Error> + Send + 'static,
) -> Result<T, embedded::Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    }
}

/// An open database. Close it, so that a private PostgreSQL that was started for it stops.
#[derive(Debug)]
pub struct Database {
    /// Connections to it.
    pub pool: PgPool,
    private: Option<PrivatePostgres>,
}

impl Database {
    /// Opens the database and sees to it that its schema is what the command needs.
    pub async fn open(place: &Place, needed: Schema) -> Result<Self, Error> {
        let (options, private) = match place {
            Place::Url(options) => ((**options).clone(), None),
            Place::Private(dir) => {
                let dir = dir.clone();
                let private = blocking(move || PrivatePostgres::join(&dir)).await?;
                (private.connect_options(), Some(private))
            }
        };
        let database = Self { pool: pool::lazy(options.clone(), CONNECTIONS_MAX), private };
        match database.prepare(place, options, needed).await {
            Ok(()) => Ok(database),
            Err(error) => {
                if let Err(also) = database.close().await {
                    tracing::warn!(error = %also, "the private PostgreSQL was left running");
                }
                Err(error)
            }
        }
    }

    async fn prepare(&self, place: &Place, options: PgConnectOptions, needed: Schema) -> Result<(), Error> {
        knock(place, options).await?;
        let judged = match (needed, &self.private) {
            (Schema::Current, None) => schema::check(&self.pool).await,
            (Schema::Current, Some(_)) => schema::ensure(&self.pool).await,
            (Schema::Any, _) => schema::check_server(&self.pool).await,
        };
        judged.map_err(|source| Error::Schema { place: place.to_string(), source })
    }

    /// Closes the connections, and stops a private PostgreSQL that nobody else uses.
    pub async fn close(self) -> Result<(), Error> {
        self.pool.close().await;
        if let Some(private) = self.private {
            blocking(move || private.stop()).await?;
        }
        Ok(())
    }
}

/// Connects once, for a clear word on why it cannot be done: a pool only knows that time ran out.
pub async fn knock(place: &Place, options: PgConnectOptions) -> Result<(), Error> {
    let unreachable = |reason: String| Error::Unreachable { place: place.to_string(), reason };
    match tokio::time::timeout(CONNECT_TIMEOUT, PgConnection::connect_with(&pool::session(options))).await {
        Err(_) => Err(unreachable(format!("no answer within {} s", CONNECT_TIMEOUT.as_secs()))),
        Ok(Err(error)) if cause(&error) == Cause::Unavailable => Err(unreachable(said(&error))),
        Ok(Err(error)) => Err(Error::Refused { place: place.to_string(), reason: said(&error) }),
        Ok(Ok(connection)) => {
            // It has served its purpose; the server notices a lost connection by itself.
            drop(connection.close().await);
            Ok(())
        }
    }
}

/// What the server or the network said, without the words that every such error begins with.
fn said(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(error) => error.message().to_owned(),
        sqlx::Error::Io(error) => error.to_string(),
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn place(options: PgConnectOptions) -> Place {
        Place::Url(Box::new(options))
    }

    #[tokio::test]
    async fn a_database_without_our_schema_says_what_to_run() {
        let empty = testing::empty_database().await;
        let error = Database::open(&place(empty.options()), Schema::Current).await.unwrap_err().to_string();
        assert!(error.starts_with("database test_") && error.ends_with("run `tallybook migrate up`"), "{error}");
        Database::open(&place(empty.options()), Schema::Any).await.unwrap().close().await.unwrap();
    }

    #[tokio::test]
    async fn a_database_that_is_not_there_is_told_from_a_server_that_is_not() {
        let migrated = testing::database().await;
        let missing = place(migrated.options().database("no_such_database"));
        let error = Database::open(&missing, Schema::Current).await.unwrap_err();
        assert!(matches!(&error, Error::Refused { reason, .. } if reason.contains("no_such_database")), "{error}");
        let away = place(migrated.options().port(1).password("hunter2"));
        let error = Database::open(&away, Schema::Current).await.unwrap_err();
        assert!(matches!(error, Error::Unreachable { .. }), "{error}");
        assert!(error.to_string().contains("refused") && !error.to_string().contains("hunter2"), "{error}");
    }
}
