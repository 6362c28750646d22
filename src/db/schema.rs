//! Whether a server and its schema are what this Tallybook works with.
//!
//! Owns the judgement; applying and reverting is [`super::migrate`].
use super::error::INSUFFICIENT_PRIVILEGE;
use super::migrate::{self, Migration, State};
use super::pool::{NeedsSession, PgPool};
use sqlx::migrate::MigrateError;

/// The oldest PostgreSQL that will do, as `server_version_num`.
const SERVER_VERSION_NUM_MIN: i32 = 150_000;

/// Why a database cannot be worked with. The messages follow the words "database so-and-so".
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server is older than we can use.
    #[error("is PostgreSQL {found}, and Tallybook needs 15 or newer; use a newer server")]
    TooOld {
        /// The server's version, in its own words.
        found: String,
    },
    /// Tallybook was never installed there.
    #[error("has no Tallybook schema yet; run `tallybook migrate up`")]
    Missing,
    /// Some migrations are still to come.
    #[error("lacks migration {versions}; run `tallybook migrate up`")]
    Behind {
        /// The numbers, in order.
        versions: String,
    },
    /// A newer Tallybook migrated it, from another past than ours.
    #[error("has migration {versions} of a newer Tallybook, and lacks some of this one's; upgrade this one")]
    Newer {
        /// The numbers, in order.
        versions: String,
    },
    /// Its migrations are not ours.
    #[error(
        "has migration {versions} in another form than this Tallybook carries; use the build that migrated it, or restore it from a backup"
    )]
    Altered {
        /// The numbers, in order.
        versions: String,
    },
    /// The role may not do what is needed.
    #[error(
        "lets this role do too little: {0}; what is to be migrated, `tallybook migrate up` migrates as the role that owns it; `tallybook rights` prints what `tallybook serve` needs"
    )]
    Rights(String),
    /// A migration could not be applied.
    #[error("could not be migrated: {0}")]
    Migration(MigrateError),
    /// Its source tables are somebody else's.
    #[error(transparent)]
    Occupied(migrate::Error),
    /// A migration is needed, and cannot be applied through a pooler.
    #[error(transparent)]
    NeedsSession(NeedsSession),
    /// The database refused or went away.
    #[error("failed: {0}")]
    Database(sqlx::Error),
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match error.as_database_error() {
            Some(refusal) if refusal.code().is_some_and(|code| code == INSUFFICIENT_PRIVILEGE) => {
                Self::Rights(refusal.message().to_owned())
            }
            _ => Self::Database(error),
        }
    }
}

impl From<MigrateError> for Error {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::Execute(cause) | MigrateError::ExecuteMigration(cause, _) => match Self::from(cause) {
                Self::Database(cause) => Self::Migration(MigrateError::Execute(cause)),
                refusal => refusal,
            },
            error => Self::Migration(error),
        }
    }
}

impl From<migrate::Error> for Error {
    fn from(error: migrate::Error) -> Self {
        match error {
            migrate::Error::NeedsSession(error) => Self::NeedsSession(error),
            migrate::Error::Occupied(_) => Self::Occupied(error),
            migrate::Error::Migration(error) => error.into(),
            migrate::Error::Database(error) => error.into(),
        }
    }
}

/// Succeeds when the server is new enough and every migration is in place; those of a newer Tallybook are no obstacle.
pub async fn check(pool: &PgPool) -> Result<(), Error> {
    check_server(pool).await?;
    judge(&migrate::status(pool).await?)
}

/// Applies the migrations that are missing. Any number of instances may do so at once.
pub async fn ensure(pool: &PgPool) -> Result<(), Error> {
    match check(pool).await {
        Err(Error::Missing | Error::Behind { .. }) => Ok(migrate::up(pool).await?),
        judged => judged,
    }
}

/// Succeeds when the server is new enough.
pub async fn check_server(pool: &PgPool) -> Result<(), Error> {
    let (number, found): (i32, String) =
        sqlx::query_as("select current_setting('server_version_num')::int, current_setting('server_version')")
            .fetch_one(pool)
            .await?;
    if number < SERVER_VERSION_NUM_MIN { Err(Error::TooOld { found }) } else { Ok(()) }
}

/// Whether there is any raw usage, migrated or not.
pub async fn holds_usage(pool: &PgPool) -> Result<bool, sqlx::Error> {
    let exists: bool = sqlx::query_scalar("select to_regclass('public.task_usage') is not null").fetch_one(pool).await?;
    Ok(exists && sqlx::query_scalar("select exists (select from public.task_usage)").fetch_one(pool).await?)
}

/// Whether the source tables are somebody else's.
pub async fn is_adopted(pool: &PgPool) -> Result<bool, sqlx::Error> {
    let exists: bool = sqlx::query_scalar("select to_regclass('tallybook.installation') is not null").fetch_one(pool).await?;
    Ok(exists && sqlx::query_scalar("select is_adopted from tallybook.installation").fetch_one(pool).await?)
}

/// Whether there is any sealed usage, or a trace of some.
pub async fn holds_sealed_usage(pool: &PgPool) -> Result<bool, sqlx::Error> {
    let exists: bool = sqlx::query_scalar("select to_regclass('tallybook.sealed_identity') is not null").fetch_one(pool).await?;
    let holds = "select exists (select from tallybook.sealed_usage) or exists (select from tallybook.sealed_identity)";
    Ok(exists && sqlx::query_scalar(holds).fetch_one(pool).await?)
}

fn judge(migrations: &[Migration]) -> Result<(), Error> {
    let versions = |wanted: &[State]| {
        let found = migrations.iter().filter(|m| wanted.contains(&m.state)).map(|m| m.version.to_string());
        Some(found.collect::<Vec<_>>().join(", ")).filter(|text| !text.is_empty())
    };
    if let Some(versions) = versions(&[State::Altered]) {
        return Err(Error::Altered { versions });
    }
    match (versions(&[State::Pending, State::Failed]), versions(&[State::Unknown])) {
        (None, None) => Ok(()),
        (None, Some(newer)) => {
            // It is about to replace us, and works with the schema as we know it until it has.
            tracing::warn!(migration.versions = newer, "the database was migrated by a newer Tallybook");
            Ok(())
        }
        (Some(_), Some(versions)) => Err(Error::Newer { versions }),
        (Some(_), None) if migrations.iter().all(|m| m.state == State::Pending) => Err(Error::Missing),
        (Some(versions), None) => Err(Error::Behind { versions }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn migrations(states: &[State]) -> Vec<Migration> {
        (1..).zip(states).map(|(version, state)| Migration { version, description: String::new(), state: *state }).collect()
    }

    #[test]
    fn every_migration_counts_not_only_the_last() {
        use State::{Altered, Applied, Failed, Pending, Unknown};
        let says = |states: &[State]| judge(&migrations(states)).map_err(|error| error.to_string());
        assert_eq!(says(&[Applied, Applied]), Ok(()));
        assert_eq!(says(&[Pending, Pending]).unwrap_err(), "has no Tallybook schema yet; run `tallybook migrate up`");
        assert_eq!(says(&[Applied, Pending, Failed]).unwrap_err(), "lacks migration 2, 3; run `tallybook migrate up`");
        assert_eq!(says(&[Pending, Applied]).unwrap_err(), "lacks migration 1; run `tallybook migrate up`");
        assert_eq!(says(&[Applied, Unknown]), Ok(()));
        assert!(says(&[Pending, Unknown]).unwrap_err().contains("migration 2 of a newer Tallybook"));
        assert!(says(&[Altered, Applied]).unwrap_err().contains("migration 1 in another form"));
    }

    #[tokio::test]
    async fn an_empty_database_is_told_from_a_migrated_one() {
        let empty = crate::testing::empty_database().await;
        assert!(matches!(check(&empty.pool).await, Err(Error::Missing)));
        let migrated = crate::testing::database().await;
        check(&migrated.pool).await.unwrap();
    }

    #[tokio::test]
    async fn many_instances_may_migrate_at_once() {
        let database = crate::testing::empty_database().await;
        let all = (0..8).map(|_| ensure(&database.pool));
        for outcome in futures_util::future::join_all(all).await {
            outcome.unwrap();
        }
        check(&database.pool).await.unwrap();
    }
}
