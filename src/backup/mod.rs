//! Backups: what `pg_dump` writes, with a manifest beside it, and the way back into an empty database.
//!
//! A backup is a directory: `database.dump` in the custom format of `pg_dump`, and `backup.json`, which says what made it and what it
//! holds. Both are of one snapshot. It is made under another name and renamed when it is whole; it is restored in one transaction.
//! So neither a backup nor a restored database is ever half there.
//!
//! Changes that were pending stay pending: the dump holds the change rows, and the engine knows that transaction ids start over.
mod dump;
mod error;
mod manifest;
mod program;
mod restore;
#[cfg(test)]
mod tests;
mod upgrade;

pub use dump::dump;
pub use error::Error;
pub use manifest::{Holdings, Manifest};
pub use restore::{Restored, check_target, restore};
pub use upgrade::{Upgraded, upgrade};

/// What `pg_dump` wrote.
const DUMP_FILE: &str = "database.dump";
/// What is in it.
const MANIFEST_FILE: &str = "backup.json";
