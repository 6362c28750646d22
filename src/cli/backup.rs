//! `tallybook backup`: the whole database, in a directory.
use super::output::count;
use super::{Context, Outcome, failure};
use crate::backup;
use crate::db::database::{Database, Schema};
use std::path::PathBuf;

const AFTER_HELP: &str = "\
The directory gets `database.dump` (the custom format of pg_dump, of one snapshot) and `backup.json`, which says what made it and what it holds. It appears under its name when it is whole. The service may go on meanwhile: nobody waits for a backup. It holds everything that is known of everybody, so only you may read it.

pg_dump must be of the server's version or newer. Behind a pooler, DATABASE_DIRECT_URL must name the database's own address.

Examples:
  tallybook backup /var/backups/tallybook-$(date +%F)
  tallybook restore /var/backups/tallybook-2026-11-30 --data-dir /var/lib/tallybook-new";

/// Back the whole database up into a directory.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// Directory to make; nothing may be there yet.
    directory: PathBuf,
    /// Answer with the backup's manifest, a JSON object.
    #[arg(long)]
    json: bool,
}

/// Makes the backup, and prints what is in it.
pub(super) async fn run(arguments: Arguments, context: &mut Context) -> anyhow::Result<Outcome> {
    let database = Database::open(&context.config.database, Schema::Any).await?;
    let made = backup::dump(&database.pool, &arguments.directory, context.clock.now()).await;
    let closed = database.close().await;
    let manifest = made.map_err(|error| failure::locate(error.into(), &context.config.database))?;
    closed?;
    if arguments.json {
        context.out.json(&manifest)?;
    } else {
        let holds = &manifest.holds;
        let (usage, pending) = (count(holds.usage_rows, "usage row"), count(holds.pending_rows, "change row"));
        context.out.line(format_args!("Backed up {usage} and {pending} to {}.", arguments.directory.display()))?;
    }
    Ok(Outcome::Done)
}
