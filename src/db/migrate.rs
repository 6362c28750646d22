//! The schema's migrations: plain SQL files, embedded, checksummed, applied one transaction each.
//!
//! Any number of instances may start at once: they queue on an advisory lock and find the work done.
use super::pool::{NeedsSession, PgPool, connect_lazy};
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::PgConnectOptions;
use std::borrow::Cow;
use std::collections::BTreeMap;
use uuid::Uuid;

/// Why the schema was not changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is a pooler, and no way past it.
    #[error(transparent)]
    NeedsSession(#[from] NeedsSession),
    /// Its source tables are somebody else's.
    #[error(
        "has tables of these names already, which Tallybook did not make: {0}; `tallybook adopt --check` says whether they can be adopted, and `tallybook migrate up --adopt` adopts them"
    )]
    Occupied(String),
    /// A migration could not be applied or reverted.
    #[error(transparent)]
    Migration(#[from] MigrateError),
    /// The database refused or went away.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Where applied migrations are recorded.
const TABLE: &str = "tallybook.migration";
const SCHEMA: &str = "tallybook";
/// What is left when every migration is reverted.
const REMOVE: &str = "drop table if exists tallybook.migration; drop schema if exists tallybook";

/// The migration that brings sealing: whoever reverts it gives up what was sealed.
pub const SEALING: i64 = 10;

/// The migration that brings the function which schedulers call.
pub const TICK: i64 = 6;

/// The migration that brings capture, and with it whatever lies on the source tables.
pub const CAPTURE: i64 = 3;

fn migrator() -> Migrator {
    Migrator { table_name: Cow::Borrowed(TABLE), create_schemas: Cow::Borrowed(&[Cow::Borrowed(SCHEMA)]), ..sqlx::migrate!() }
}

/// A short name of this very set of migrations: it changes with any of their texts.
pub fn fingerprint() -> String {
    let checksums: Vec<u8> = migrator().iter().flat_map(|migration| migration.checksum.to_vec()).collect();
    Uuid::new_v5(&Uuid::NAMESPACE_OID, &checksums).simple().to_string()
}

/// The text of each way up, by its number.
pub fn texts() -> impl Iterator<Item = (i64, String)> {
    let ways_up = migrator().migrations.into_owned().into_iter().filter(|migration| migration.migration_type.is_up_migration());
    ways_up.map(|migration| (migration.version, migration.sql.as_str().to_owned()))
}

/// Applies other texts in the place of the migrations, which the database then believes to have.
#[cfg(any(test, feature = "testing"))]
pub async fn up_with(pool: &PgPool, texts: &BTreeMap<i64, String>) -> Result<(), Error> {
    in_session(sessions(pool).await?, async |session| Ok(migrator_of(texts).run(session).await?)).await
}

/// The same on source tables that are there.
#[cfg(any(test, feature = "testing"))]
pub async fn up_adopting_with(pool: &PgPool, texts: &BTreeMap<i64, String>) -> Result<(), Error> {
    in_session(adopting(sessions(pool).await?), async |session| Ok(migrator_of(texts).run(session).await?)).await
}

#[cfg(any(test, feature = "testing"))]
fn migrator_of(texts: &BTreeMap<i64, String>) -> Migrator {
    use sqlx::{AssertSqlSafe, SqlSafeStr};
    let mut migrator = migrator();
    for migration in migrator.migrations.to_mut() {
        if let Some(text) = texts.get(&migration.version).filter(|_| migration.migration_type.is_up_migration()) {
            migration.sql = AssertSqlSafe(text.clone()).into_sql_str();
        }
    }
    migrator
}

/// Applies the migrations up to that number, as an older Tallybook would.
#[cfg(any(test, feature = "testing"))]
pub async fn up_to(pool: &PgPool, target: i64) -> Result<(), Error> {
    in_session(sessions(pool).await?, async |session| Ok(migrator().run_to(target, session).await?)).await
}

/// The same on source tables that are there.
#[cfg(any(test, feature = "testing"))]
pub async fn up_adopting_to(pool: &PgPool, target: i64) -> Result<(), Error> {
    in_session(adopting(sessions(pool).await?), async |session| Ok(migrator().run_to(target, session).await?)).await
}

/// A migration, and whether this database has it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Migration {
    /// Its number.
    pub version: i64,
    /// What it makes.
    pub description: String,
    /// Where it stands.
    pub state: State,
}

/// Where a migration stands in a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Applied, and its text is the one we carry.
    Applied,
    /// Not applied yet.
    Pending,
    /// Applied with another text than the one we carry.
    Altered,
    /// Applied by a newer Tallybook: we do not know it.
    Unknown,
    /// Begun and not finished.
    Failed,
}

/// Applies every migration that the database lacks.
pub async fn up(pool: &PgPool) -> Result<(), Error> {
    in_session(sessions(pool).await?, async |session| {
        let occupied: Option<String> = sqlx::query_scalar(include_str!("occupied.sql")).fetch_one(session).await?;
        match occupied {
            Some(tables) => Err(Error::Occupied(tables)),
            None => Ok(migrator().run(session).await?),
        }
    })
    .await
}

/// The same with the source tables that are there; gives what was applied. The rest of adopting them is [`crate::adopt`].
pub(crate) async fn up_adopting(pool: &PgPool) -> Result<Vec<Migration>, Error> {
    let before = status(pool).await?;
    in_session(adopting(sessions(pool).await?), async |session| Ok(migrator().run(session).await?)).await?;
    Ok(before.into_iter().filter(|migration| migration.state == State::Pending).collect())
}

/// Reverts every migration above `target`; 0 removes Tallybook and, stand-alone, all usage. An adopted database is left by
/// [`crate::adopt::remove`], which gives way to writers.
pub async fn down(pool: &PgPool, target: i64) -> Result<(), Error> {
    in_session(sessions(pool).await?, async |session| {
        migrator().undo(session, target).await?;
        if target == 0 {
            sqlx::raw_sql(REMOVE).execute(session).await?;
        }
        Ok(())
    })
    .await
}

/// How a session is had that can hold the lock on migrations.
async fn sessions(pool: &PgPool) -> Result<PgConnectOptions, Error> {
    Ok(pool.session_options().await??)
}

/// Tells the migrations that the source tables are somebody else's.
fn adopting(options: PgConnectOptions) -> PgConnectOptions {
    options.options([("tallybook.adopt", "on"), ("search_path", "pg_catalog")])
}

/// Does it in a session that ends with it: a migrator that fails keeps its lock for as long as its session lasts.
async fn in_session(
    options: PgConnectOptions,
    migrate: impl AsyncFnOnce(&sqlx::PgPool) -> Result<(), Error>,
) -> Result<(), Error> {
    let session = connect_lazy(options, 1);
    let done = migrate(&session).await;
    session.close().await;
    done
}

/// Whether there is a list of what was applied.
pub(crate) async fn has_list(pool: &PgPool) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("select to_regclass($1) is not null").bind(TABLE).fetch_one(pool).await
}

/// Every migration that we carry or that the database has, in order.
pub async fn status(pool: &PgPool) -> Result<Vec<Migration>, sqlx::Error> {
    let exists = has_list(pool).await?;
    let mut applied: BTreeMap<i64, (String, bool, Vec<u8>)> = BTreeMap::new();
    if exists {
        let rows: Vec<(i64, String, bool, Vec<u8>)> =
            sqlx::query_as("select version, description, success, checksum from tallybook.migration").fetch_all(pool).await?;
        applied.extend(
            rows.into_iter().map(|(version, description, success, checksum)| (version, (description, success, checksum))),
        );
    }
    let mut all = Vec::new();
    for ours in migrator().iter().filter(|m| m.migration_type.is_up_migration()) {
        let state = match applied.remove(&ours.version) {
            None => State::Pending,
            Some((_, false, _)) => State::Failed,
            Some((_, true, checksum)) if checksum == *ours.checksum => State::Applied,
            Some(_) => State::Altered,
        };
        all.push(Migration { version: ours.version, description: ours.description.to_string(), state });
    }
    all.extend(applied.into_iter().map(|(version, (description, ..))| Migration { version, description, state: State::Unknown }));
    all.sort_by_key(|m| m.version);
    Ok(all)
}
