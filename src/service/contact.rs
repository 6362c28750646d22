//! The first contact with the database: connects, brings the schema up to date, and waits where that helps.
//!
//! Somebody else's database may be away: requests are answered meanwhile. The private one is ours to start again, should it
//! be killed while it is being prepared, as it is once the service runs.
use super::{Error, Settings, admin_token};
use crate::access;
use crate::config::Place;
use crate::db::database::{self, blocking};
use crate::db::pool::PgPool;
use crate::db::{error, schema};
use crate::embedded::{self, PrivatePostgres};
use sqlx::migrate::MigrateError;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// How often a database that is away is tried again.
const RETRY_EVERY: Duration = Duration::from_secs(1);
/// How often the log repeats that it is away, in tries.
const RETRIES_PER_LOG_LINE: u32 = 30;
/// How often the private one may go away at the start before the start is given up.
const PRIVATE_TRIES_MAX: u32 = 30;

/// Prepares the database; tells whether it is away, and where the private one's token is.
pub(super) async fn first(
    settings: &Settings,
    pool: &PgPool,
    private: Option<&Arc<PrivatePostgres>>,
) -> Result<(bool, Option<PathBuf>), Error> {
    let mut tries = 0;
    loop {
        let error = match meet(settings, pool, private).await {
            Ok(token_path) => return Ok((false, token_path)),
            Err(error) => error,
        };
        match private {
            _ if !is_away(&error) => return Err(error),
            None => {
                tracing::warn!("{error}; trying again until it does");
                return Ok((true, None));
            }
            Some(_) if tries == PRIVATE_TRIES_MAX => return Err(error),
            Some(private) => {
                tracing::warn!("{error}; trying again");
                tries += 1;
                sleep(RETRY_EVERY).await;
                let private = Arc::clone(private);
                blocking(move || private.revive()).await?;
            }
        }
    }
}

/// Prepares a database that was away as soon as it answers. Fails only on what waiting cannot mend.
pub(super) async fn wait(place: &Place, pool: &PgPool, stop: &CancellationToken) -> Result<(), Error> {
    let mut tries: u32 = 0;
    while stop.run_until_cancelled(sleep(RETRY_EVERY)).await.is_some() {
        match prepare(place, pool).await {
            Ok(()) => {
                tracing::info!("{place} answers");
                return Ok(());
            }
            Err(error) if is_away(&error) => {
                tries = tries.wrapping_add(1);
                if tries.is_multiple_of(RETRIES_PER_LOG_LINE) {
                    tracing::warn!("{error}; still trying");
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Prepares the database, and the private one's token.
async fn meet(settings: &Settings, pool: &PgPool, private: Option<&Arc<PrivatePostgres>>) -> Result<Option<PathBuf>, Error> {
    prepare(&settings.database, pool).await?;
    let Some(private) = private else { return Ok(None) };
    let path = embedded::admin_token_path(private.data_dir());
    admin_token::ensure(pool, &settings.clock, &path).await?;
    Ok(Some(path))
}

/// Connects and brings the schema up to date.
async fn prepare(place: &Place, pool: &PgPool) -> Result<(), Error> {
    database::knock(place, pool).await?;
    let ensured = schema::ensure(pool).await;
    ensured.map_err(|source| database::Error::Schema { place: place.to_string(), source }.into())
}

/// Whether the database does not answer, or has ceased to: waiting may help.
fn is_away(failure: &Error) -> bool {
    let source = match failure {
        Error::Database(database::Error::Unreachable { .. }) => return true,
        Error::Database(database::Error::Schema {
            source:
                schema::Error::Database(source)
                | schema::Error::Migration(MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _)),
            ..
        })
        | Error::AdminToken(admin_token::Error::Database(source) | admin_token::Error::Access(access::Error::Database(source))) => {
            source
        }
        _ => return false,
    };
    error::cause(source) == error::Cause::Unavailable
}
