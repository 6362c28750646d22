//! `tallybook restore`: a backup into an empty database.
use super::output::count;
use super::{Context, Outcome, failure, verify};
use crate::backup::{self, Manifest, Restored};
use crate::db::database::{Database, Schema};
use std::path::PathBuf;

const AFTER_HELP: &str = "\
The database must be empty: one that was just created, or a --data-dir that is new. It is restored in one transaction, so nothing is ever half there; then what it holds is compared with what the backup says, missing migrations are applied, and every rollup is compared with the raw rows.

Whoever restores owns everything; rights are restored as they were, so the roles that have them must exist. Tokens are in the backup; the file of a private instance's admin token is not, and `tallybook serve` makes a new one.

Exit codes:
  0  restored, and exact
  1  restored, and there is drift, which was backed up
  2  nothing was restored, or it could not be checked";

/// Restore a backup into an empty database, and verify it.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// Directory that `tallybook backup` made.
    directory: PathBuf,
}

/// Restores, and prints what came of it.
pub(super) async fn run(arguments: Arguments, context: &mut Context) -> anyhow::Result<Outcome> {
    // Before a private instance is made for it.
    let manifest = Manifest::read(&arguments.directory)?;
    let database = Database::open(&context.config.database, Schema::Any).await?;
    let restored = backup::restore(&database.pool, &arguments.directory, manifest).await;
    let restored = restored.map_err(|error| failure::locate(error.into(), &context.config.database));
    let Restored { manifest, verified } = failure::both(restored, database.close().await)?;
    let usage = count(manifest.holds.usage_rows, "usage row");
    context.out.line(format_args!("Restored {usage} of {:.0} into {}.", manifest.made_at, context.config.database))?;
    verify::print(&verified, &mut context.out)?;
    context.out.line(if verified.exact() { "Exact." } else { "Drift: `tallybook repair` rebuilds the days above." })?;
    Ok(verify::outcome(&verified))
}
