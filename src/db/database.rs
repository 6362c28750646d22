//! An open database for a command: somebody else's, or the private one, started if need be.
use super::error::{Cause, cause};
use super::pool::{self, PgPool};
use super::schema;
use crate::config::Place;
use crate::embedded::{self, PrivatePostgres};
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
    /// The server, or the way to it, is not what the URL demands.
    #[error(
        "{place} is not reached as securely as DATABASE_URL demands: {reason}; check its sslmode and sslrootcert, and the server's certificate"
    )]
    Insecure {
        /// Which database.
        place: String,
        /// What is wrong.
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
        let (pool, private) = match place {
            Place::Url(address) => (pool::lazy(address.options.clone(), address.direct.clone(), CONNECTIONS_MAX), None),
            Place::Private(dir) => {
                let dir = dir.clone();
                let private = blocking(move || PrivatePostgres::join(&dir)).await?;
                (pool::lazy(private.connect_options(), None, CONNECTIONS_MAX), Some(private))
            }
        };
        let database = Self { pool, private };
        match database.prepare(place, needed).await {
            Ok(()) => Ok(database),
            Err(error) => {
                if let Err(also) = database.close().await {
                    tracing::warn!(error = %also, "the private PostgreSQL was left running");
                }
                Err(error)
            }
        }
    }

    async fn prepare(&self, place: &Place, needed: Schema) -> Result<(), Error> {
        knock(place, &self.pool).await?;
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

/// Connects once, for a clear word on why it cannot be done.
pub async fn knock(place: &Place, pool: &PgPool) -> Result<(), Error> {
    let unreachable = |reason: String| Error::Unreachable { place: place.to_string(), reason };
    let by_network = !matches!(place, Place::Url(address) if address.options.get_socket().is_some());
    match tokio::time::timeout(CONNECT_TIMEOUT, pool.try_connect()).await {
        Err(_) => Err(unreachable(format!("no answer within {} s", CONNECT_TIMEOUT.as_secs()))),
        Ok(Err(error)) if is_of_tls(&error, by_network) => {
            Err(Error::Insecure { place: place.to_string(), reason: said(&error) })
        }
        Ok(Err(error)) if cause(&error) == Cause::Unavailable => Err(unreachable(said(&error))),
        Ok(Err(error)) => Err(Error::Refused { place: place.to_string(), reason: said(&error) }),
        Ok(Ok(())) => Ok(()),
    }
}

/// Whether the two did not come to terms on TLS, which no waiting mends. A file that is missing is a certificate's, unless it is the
/// server's socket.
fn is_of_tls(error: &sqlx::Error, by_network: bool) -> bool {
    match error {
        sqlx::Error::Tls(_) => true,
        sqlx::Error::Io(error) if by_network && error.kind() == std::io::ErrorKind::NotFound => true,
        sqlx::Error::Io(error) => matches!(error.get_ref(), Some(inner) if inner.is::<rustls::Error>()),
        _ => false,
    }
}

/// What the server or the network said, without the words that every such error begins with.
fn said(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(error) => error.message().to_owned(),
        sqlx::Error::Io(error) => error.to_string(),
        sqlx::Error::Tls(error) => error.to_string(),
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use sqlx::postgres::PgConnectOptions;

    fn place(options: PgConnectOptions) -> Place {
        options.into()
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
