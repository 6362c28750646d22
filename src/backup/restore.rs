//! Restores a backup into an empty database, in one transaction, and proves that it is what was backed up.
use super::manifest::{Holdings, Manifest};
use super::{DUMP_FILE, Error, program};
use crate::db::pool::PgPool;
use crate::db::schema;
use crate::rollup::verify;
use std::path::Path;

/// What came of it.
#[derive(Debug)]
pub struct Restored {
    /// What the backup says of itself.
    pub manifest: Manifest,
    /// The comparison of the rollups with the raw rows.
    pub verified: verify::Report,
}

/// Succeeds where the backup can be restored: the database is empty, and its server is new enough.
pub async fn check_target(pool: &PgPool, manifest: &Manifest) -> Result<(), Error> {
    let server_version_num: i32 = sqlx::query_scalar("select current_setting('server_version_num')::int").fetch_one(pool).await?;
    let server = server_version_num / 10_000;
    if server < manifest.server_major() {
        return Err(Error::NewerPostgres { has: manifest.server_major(), server });
    }
    let found: Option<String> = sqlx::query_scalar(include_str!("found.sql")).fetch_optional(pool).await?;
    found.map_or(Ok(()), |found| Err(Error::NotEmpty { found }))
}

/// Restores the backup in the directory `from`, all or nothing.
///
/// `manifest` is what [`Manifest::read`] made of it, which has checked the dump. What is there afterwards is compared with it, and every
/// rollup with the raw rows. Owners are those who restore; rights are as they were.
pub async fn restore(pool: &PgPool, from: &Path, manifest: Manifest) -> Result<Restored, Error> {
    check_target(pool, &manifest).await?;
    let options = pool.session_options().await??;
    let path = program::find("pg_restore", manifest.server_major())?;
    let mut command = program::command(&path, &options);
    command.args(["--single-transaction", "--exit-on-error", "--no-owner", "--dbname"]);
    command.arg(options.get_database().unwrap_or_else(|| options.get_username())).arg(from.join(DUMP_FILE));
    program::run("pg_restore", &mut command).await?;
    // A dump has no statistics, without which the first reads would be planned blindly.
    sqlx::query("analyze").execute(pool).await?;
    let holds: Holdings = sqlx::query_as(include_str!("holdings.sql")).fetch_one(pool).await?;
    if holds != manifest.holds {
        return Err(Error::Differs { difference: format!("it held {:?}, and this is {holds:?}", manifest.holds) });
    }
    // The backup may be older than this Tallybook.
    schema::ensure(pool).await?;
    let verified = verify::verify(pool).await?;
    Ok(Restored { manifest, verified })
}
