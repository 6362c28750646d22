//! What a backup says of itself.
use super::{DUMP_FILE, Error, MANIFEST_FILE};
use crate::db::migrate;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io;
use std::path::Path;

/// The version of Tallybook that this is.
const OURS: &str = env!("CARGO_PKG_VERSION");
/// The layout of the directory.
const FORMAT: u32 = 1;

/// `backup.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The layout of the directory.
    pub format: u32,
    /// The version of Tallybook that made it.
    pub tallybook: String,
    /// The server's version, as `server_version_num`.
    pub server_version_num: i32,
    /// When it was made.
    pub made_at: Timestamp,
    /// The migrations that the database has.
    pub migrations: Vec<i64>,
    /// What it holds.
    pub holds: Holdings,
    /// The size of the dump.
    pub dump_bytes: u64,
    /// SHA-256 of the dump.
    pub dump_sha256: String,
}

/// What a database holds, in one snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::FromRow)]
pub struct Holdings {
    /// Rows of `task_usage`.
    pub usage_rows: i64,
    /// Rows of `agent_task_queue`.
    pub task_rows: i64,
    /// Rows of `sealed_usage`.
    pub sealed_rows: i64,
    /// Identities of usage that was sealed.
    pub sealed_identities: i64,
    /// Input tokens of all usage, raw and sealed.
    pub input_tokens: String,
    /// Output tokens of all usage, raw and sealed.
    pub output_tokens: String,
    /// Change rows that were not folded yet.
    pub pending_rows: i64,
}

impl Manifest {
    /// Of the dump that lies in `directory`.
    pub(super) fn of(
        directory: &Path,
        made_at: Timestamp,
        server_version_num: i32,
        migrations: Vec<i64>,
        holds: Holdings,
    ) -> Result<Self, Error> {
        let (dump_bytes, dump_sha256) = digest(&directory.join(DUMP_FILE))?;
        let tallybook = OURS.to_owned();
        Ok(Self { format: FORMAT, tallybook, server_version_num, made_at, migrations, holds, dump_bytes, dump_sha256 })
    }

    pub(super) fn write(&self, directory: &Path) -> Result<(), Error> {
        let path = directory.join(MANIFEST_FILE);
        let file = File::create_new(&path).map_err(Error::file("create", &path))?;
        serde_json::to_writer_pretty(&file, self).map_err(|error| Error::file("write", &path)(error.into()))?;
        file.sync_all().map_err(Error::file("write", &path))
    }

    /// Of the backup in `directory`, which is whole and one that we can restore.
    pub fn read(directory: &Path) -> Result<Self, Error> {
        let not_a_backup = |reason: String| Error::NotABackup { path: directory.to_owned(), reason };
        let path = directory.join(MANIFEST_FILE);
        let text = fs::read_to_string(&path).map_err(|error| not_a_backup(format!("{MANIFEST_FILE} cannot be read: {error}")))?;
        let manifest: Self = serde_json::from_str(&text)
            .map_err(|error| not_a_backup(format!("{MANIFEST_FILE} cannot be understood: {error}")))?;
        if manifest.format != FORMAT {
            return Err(not_a_backup(format!("it has format {}, and this Tallybook knows {FORMAT}", manifest.format)));
        }
        manifest.check_migrations()?;
        let dump = directory.join(DUMP_FILE);
        let (bytes, sha256) = digest(&dump)?;
        if bytes != manifest.dump_bytes {
            return Err(Error::Damaged { path: dump, reason: format!("it has {bytes} bytes of {}", manifest.dump_bytes) });
        }
        if sha256 != manifest.dump_sha256 {
            return Err(Error::Damaged { path: dump, reason: "its SHA-256 is not the one in the manifest".to_owned() });
        }
        Ok(manifest)
    }

    fn check_migrations(&self) -> Result<(), Error> {
        let known: Vec<i64> = migrate::texts().map(|(version, _)| version).collect();
        let unknown: Vec<String> =
            self.migrations.iter().filter(|version| !known.contains(version)).map(ToString::to_string).collect();
        if unknown.is_empty() {
            return Ok(());
        }
        Err(Error::NewerTallybook { by: self.tallybook.clone(), versions: unknown.join(", "), ours: OURS })
    }

    /// The server's major version.
    pub fn server_major(&self) -> i32 {
        self.server_version_num / 10_000
    }
}

/// The size and the SHA-256 of a file.
fn digest(path: &Path) -> Result<(u64, String), Error> {
    let mut file = File::open(path).map_err(Error::file("read", path))?;
    let mut hasher = HashWriter(Sha256::new());
    let bytes = io::copy(&mut file, &mut hasher).map_err(Error::file("read", path))?;
    let hex = hasher.0.finalize().iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    Ok((bytes, hex))
}

struct HashWriter(Sha256);

impl io::Write for HashWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
