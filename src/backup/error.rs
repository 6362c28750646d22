//! What can go wrong with a backup, and what to do about it.
use crate::db::pool::NeedsSession;
use crate::db::schema;
use crate::embedded;
use std::io;
use std::path::PathBuf;

/// Why there is no backup, or nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something is there already.
    #[error("{} is there already; choose a name that is free", .0.display())]
    Exists(PathBuf),
    /// The directory is not a whole backup.
    #[error("{} is no backup of Tallybook's: {reason}", path.display())]
    NotABackup {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The dump is not the one that was made.
    #[error("{} is damaged: {reason}; use another backup", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// How that is known.
        reason: String,
    },
    /// A newer Tallybook made it.
    #[error(
        "the backup was made by Tallybook {by} and has migration {versions}, which this one ({ours}) does not know; use that version or a newer one"
    )]
    NewerTallybook {
        /// The version that made it.
        by: String,
        /// The migrations that we do not know.
        versions: String,
        /// Our version.
        ours: &'static str,
    },
    /// A newer PostgreSQL made it.
    #[error("the backup is of PostgreSQL {has} and the server is {server}; restore it into PostgreSQL {has} or newer")]
    NewerPostgres {
        /// The version of the backup.
        has: i32,
        /// The version of the server.
        server: i32,
    },
    /// The database is in use.
    #[error("the database is not empty: it holds {found}; restore into a new one (`createdb`, or another --data-dir)")]
    NotEmpty {
        /// Something that is there.
        found: String,
    },
    /// There is nothing to back up.
    #[error("the database has no Tallybook schema, so there is nothing to back up; check DATABASE_URL or --data-dir")]
    NoSchema,
    /// The program is missing, or too old for the server.
    #[error(
        "no {program} of PostgreSQL {at_least} or newer on this machine (looked at {looked}); install `postgresql-client-{at_least}`, \
         or name the directory of its programs in PG_BIN"
    )]
    NoProgram {
        /// `pg_dump` or `pg_restore`.
        program: &'static str,
        /// The server's major version.
        at_least: i32,
        /// Where we looked, and what was there.
        looked: String,
    },
    /// The program failed.
    #[error("{program} failed: {output}")]
    Program {
        /// Which.
        program: &'static str,
        /// The end of what it said.
        output: String,
    },
    /// What was restored is not what the backup holds.
    #[error("what was restored is not what the backup says that it holds: {difference}; do not use this database")]
    Differs {
        /// What differs.
        difference: String,
    },
    /// There is a pooler, and no way past it.
    #[error("the database {0}")]
    NeedsSession(#[from] NeedsSession),
    /// It is not a database that this Tallybook works with.
    #[error("the database {0}")]
    Schema(#[from] schema::Error),
    /// The database refused or went away.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// The private PostgreSQL cannot be used.
    #[error(transparent)]
    Private(#[from] embedded::Error),
    /// A file or directory cannot be made, read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What we wanted to do.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl Error {
    /// For `map_err`: `action` on `path` failed.
    pub(super) fn file(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }
}
