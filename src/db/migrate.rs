//! The schema's migrations: plain SQL files, embedded, checksummed, applied one transaction each.
//!
//! Any number of instances may start at once: they queue on an advisory lock and find the work done.
use sqlx::PgPool;
use sqlx::migrate::{MigrateError, Migrator};
use std::borrow::Cow;
use std::collections::BTreeMap;
use uuid::Uuid;

/// Where applied migrations are recorded.
const TABLE: &str = "tallybook.migration";
const SCHEMA: &str = "tallybook";

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
pub async fn up_with(pool: &PgPool, texts: &BTreeMap<i64, String>) -> Result<(), MigrateError> {
    use sqlx::{AssertSqlSafe, SqlSafeStr};
    let mut migrator = migrator();
    for migration in migrator.migrations.to_mut() {
        if let Some(text) = texts.get(&migration.version).filter(|_| migration.migration_type.is_up_migration()) {
            migration.sql = AssertSqlSafe(text.clone()).into_sql_str();
        }
    }
    migrator.run(pool).await
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
pub async fn up(pool: &PgPool) -> Result<(), MigrateError> {
    migrator().run(pool).await
}

/// Reverts every migration above `target`; 0 removes Tallybook and, stand-alone, all usage.
pub async fn down(pool: &PgPool, target: i64) -> Result<(), MigrateError> {
    migrator().undo(pool, target).await?;
    if target == 0 {
        sqlx::raw_sql("drop table if exists tallybook.migration; drop schema if exists tallybook").execute(pool).await?;
    }
    Ok(())
}

/// Every migration that we carry or that the database has, in order.
pub async fn status(pool: &PgPool) -> Result<Vec<Migration>, sqlx::Error> {
    let exists: bool = sqlx::query_scalar("select to_regclass($1) is not null").bind(TABLE).fetch_one(pool).await?;
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
