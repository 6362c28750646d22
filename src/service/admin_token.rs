//! The private instance's admin token: a file beside the database that only its owner can read.
use crate::access::{self, Scope};
use crate::audit::Actor;
use crate::clock::Clock;
use crate::db::pool::PgPool;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The token's name among the others.
const NAME: &str = "admin of the private instance";
/// Read and write for the owner, nothing for anybody else.
const MODE: u32 = 0o600;

/// Why there is no admin token.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The token could not be made.
    #[error("the admin token cannot be made: {0}")]
    Access(#[from] access::Error),
    /// The token could not be looked up.
    #[error("the admin token cannot be looked up: {0}")]
    Database(#[from] sqlx::Error),
    /// The file could not be read or written.
    #[error("the admin token's file {} cannot be {done}: {source}; see to it that you own its directory", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What was tried.
        done: &'static str,
        /// Why it failed.
        source: io::Error,
    },
}

/// Sees to it that the file at `path` holds a token that opens everything, and that nobody but its owner reads it.
/// A lost or revoked token is replaced, and what it was no longer opens anything.
pub async fn ensure(pool: &PgPool, clock: &Clock, path: &Path) -> Result<(), Error> {
    let failed = |done| move |source| Error::File { path: path.to_owned(), done, source };
    if let Some(token) = read(path).map_err(failed("read"))?
        && let Some(access) = access::authenticate(pool, clock, &token).await?
        && access.allows(Scope::Admin)
        && access.workspace.is_none()
    {
        return Ok(());
    }
    for record in access::list(pool).await?.into_iter().filter(|r| r.name == NAME && r.revoked_at.is_none()) {
        access::revoke(pool, clock, &Actor::service(), record.id).await?;
    }
    let new = access::New { name: NAME.to_owned(), workspace: None, scopes: vec![Scope::Admin], expires_at: None };
    let (secret, _) = access::create(pool, clock, &Actor::service(), new).await?;
    write(path, secret.reveal()).map_err(failed("written"))
}

/// The token in the file; none when the file is missing, or when others could have read or written it.
pub fn read(path: &Path) -> io::Result<Option<String>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    if file.metadata()?.mode() & 0o077 != 0 {
        tracing::warn!(path = %path.display(), "others could read the admin token's file: the token is no longer trusted");
        return Ok(None);
    }
    let text = io::read_to_string(file)?;
    Ok(Some(text.trim().to_owned()).filter(|token| !token.is_empty()))
}

/// Writes the file at once and whole: whoever reads it sees the old token or the new one.
fn write(path: &Path, token: &str) -> io::Result<()> {
    let draft = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(MODE).open(&draft)?;
    // A draft left by a crash keeps the mode it had.
    file.set_permissions(PermissionsExt::from_mode(MODE))?;
    writeln!(file, "{token}")?;
    file.sync_all()?;
    std::fs::rename(&draft, path)
}
