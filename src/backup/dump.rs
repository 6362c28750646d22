//! Makes a backup: the dump and what the manifest says of it are of one snapshot.
use super::manifest::{Holdings, Manifest};
use super::{DUMP_FILE, Error, program};
use crate::db::migrate::{self, State};
use crate::db::pool::PgPool;
use jiff::Timestamp;
use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Begins the transaction whose snapshot is exported. It idles for as long as `pg_dump` runs, which no setting of the database's may end.
const BEGIN: &str = "begin isolation level repeatable read read only; \
    select set_config(name, '0', true) from pg_settings where name in ('idle_in_transaction_session_timeout', 'transaction_timeout')";

/// Backs the database up into the directory `to`, which must not be there yet.
///
/// Takes `ACCESS SHARE` on every table for as long as it runs, in REPEATABLE READ: nobody waits but who changes the schema.
pub async fn dump(pool: &PgPool, to: &Path, made_at: Timestamp) -> Result<Manifest, Error> {
    if to.exists() {
        return Err(Error::Exists(to.to_owned()));
    }
    let migrations: Vec<i64> =
        migrate::status(pool).await?.into_iter().filter(|m| m.state != State::Pending).map(|m| m.version).collect();
    if migrations.is_empty() {
        return Err(Error::NoSchema);
    }
    let options = pool.session_options().await??;
    let unfinished = Unfinished::begin(to)?;

    let mut snapshot = pool.begin_with(BEGIN).await?;
    let (id, server_version_num): (String, i32) =
        sqlx::query_as("select pg_export_snapshot(), current_setting('server_version_num')::int")
            .fetch_one(&mut *snapshot)
            .await?;
    let holds: Holdings = sqlx::query_as(include_str!("holdings.sql")).fetch_one(&mut *snapshot).await?;
    let path = program::find("pg_dump", server_version_num / 10_000)?;
    let mut command = program::command(&path, &options);
    command.arg("--format=custom").arg(format!("--snapshot={id}"));
    command.arg("--file").arg(unfinished.path.join(DUMP_FILE));
    program::run("pg_dump", &mut command).await?;
    // The dump is whole: it had the snapshot, too.
    if let Err(error) = snapshot.rollback().await {
        tracing::warn!(%error, "the transaction of a backup could not be rolled back");
    }

    let manifest = Manifest::of(&unfinished.path, made_at, server_version_num, migrations, holds)?;
    manifest.write(&unfinished.path)?;
    unfinished.finish(to)?;
    Ok(manifest)
}

/// A directory that is removed unless it is finished.
struct Unfinished {
    path: PathBuf,
}

impl Unfinished {
    /// Beside the place where it belongs, so that it can be renamed.
    fn begin(to: &Path) -> Result<Self, Error> {
        let mut name = to.file_name().unwrap_or_default().to_owned();
        name.push(format!(".unfinished-{}", std::process::id()));
        let path = to.with_file_name(name);
        // Everything that is known of everybody is in it.
        DirBuilder::new().mode(0o700).create(&path).map_err(Error::file("create the directory", &path))?;
        Ok(Self { path })
    }

    fn finish(self, to: &Path) -> Result<(), Error> {
        let dump = self.path.join(DUMP_FILE);
        File::open(&dump).and_then(|file| file.sync_all()).map_err(Error::file("sync", &dump))?;
        File::open(&self.path).and_then(|directory| directory.sync_all()).map_err(Error::file("sync", &self.path))?;
        fs::rename(&self.path, to).map_err(Error::file("move the backup to", to))?;
        let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(parent).and_then(|directory| directory.sync_all()).map_err(Error::file("sync", parent))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        match fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(%error, path = %self.path.display(), "an unfinished backup is left behind");
            }
            // It was renamed, or is gone now.
            _ => {}
        }
    }
}
