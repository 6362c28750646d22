//! `tallybook migrate`: installs, updates and removes the schema.
use super::Outcome;
use super::output::{Output, table};
use crate::db::migrate::{self, Migration, State};
use crate::db::schema;
use anyhow::bail;
use sqlx::PgPool;
use std::collections::BTreeSet;

const UP_HELP: &str = "\
Safe at any time and from any number of machines at once: each migration is one transaction, and whoever comes second finds the work done. `tallybook serve` does the same at its start.";

const DOWN_HELP: &str = "\
Examples:
  tallybook migrate down                        revert the newest migration
  tallybook migrate down --to 1                 remove the rollups, keep the raw usage
  tallybook migrate down --to 0 --delete-usage  remove everything";

/// Install, update or remove the schema.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Apply every migration that the database lacks.
    #[command(after_help = UP_HELP)]
    Up,
    /// Revert migrations, newest first.
    #[command(after_help = DOWN_HELP)]
    Down(Down),
    /// List the migrations; exit 1 unless all are applied.
    Status(Status),
}

/// How far down.
#[derive(Debug, clap::Args)]
pub(super) struct Down {
    /// Number of the newest migration to keep; 0 keeps none [default: the one before the newest].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(0..))]
    to: Option<i64>,
    /// Allow --to 0 to delete the raw usage too, when there is any.
    #[arg(long)]
    delete_usage: bool,
}

/// How to list.
#[derive(Debug, clap::Args)]
pub(super) struct Status {
    /// Answer with a JSON array.
    #[arg(long)]
    json: bool,
}

/// Does what was asked, and prints what changed.
pub(super) async fn run(command: Command, pool: &PgPool, out: &mut Output) -> anyhow::Result<Outcome> {
    match command {
        Command::Up => up(pool, out).await,
        Command::Down(down) => revert(&down, pool, out).await,
        Command::Status(status) => list(&status, pool, out).await,
    }
}

async fn up(pool: &PgPool, out: &mut Output) -> anyhow::Result<Outcome> {
    let before = applied(pool).await?;
    schema::ensure(pool).await.map_err(|error| anyhow::anyhow!("the database {error}"))?;
    let new: Vec<_> = migrate::status(pool).await?.into_iter().filter(|m| !before.contains(&m.version)).collect();
    for migration in &new {
        out.line(format_args!("applied {:04} {}", migration.version, migration.description))?;
    }
    if new.is_empty() {
        out.line("Nothing to do: every migration is applied.")?;
    }
    Ok(Outcome::Done)
}

async fn revert(down: &Down, pool: &PgPool, out: &mut Output) -> anyhow::Result<Outcome> {
    let before = migrate::status(pool).await?;
    let mut newest_first = before.iter().rev().filter(|m| m.state != State::Pending);
    let Some(newest) = newest_first.next() else {
        out.line("Nothing to do: no migration is applied.")?;
        return Ok(Outcome::Done);
    };
    let target = down.to.unwrap_or_else(|| newest_first.next().map_or(0, |m| m.version));
    if target >= newest.version {
        out.line(format_args!("Nothing to do: the newest migration applied is {:04}.", newest.version))?;
        return Ok(Outcome::Done);
    }
    if target > 0 && !before.iter().any(|m| m.version == target) {
        bail!("there is no migration {target}; `tallybook migrate status` lists them");
    }
    if target == 0 && !down.delete_usage && schema::holds_usage(pool).await? {
        bail!("going down to 0 would delete the raw usage; say --delete-usage if that is meant, or --to 1 to keep it");
    }
    migrate::down(pool, target).await?;
    for migration in before.iter().rev().filter(|m| m.state != State::Pending && m.version > target) {
        out.line(format_args!("reverted {:04} {}", migration.version, migration.description))?;
    }
    Ok(Outcome::Done)
}

async fn list(status: &Status, pool: &PgPool, out: &mut Output) -> anyhow::Result<Outcome> {
    let migrations = migrate::status(pool).await?;
    if status.json {
        out.json(&migrations)?;
    } else {
        out.line(listing(&migrations))?;
    }
    let complete = migrations.iter().all(|m| m.state == State::Applied);
    Ok(if complete { Outcome::Done } else { Outcome::Negative })
}

fn listing(migrations: &[Migration]) -> String {
    let rows = migrations.iter().map(|m| [format!("{:04}", m.version), m.description.clone(), state(m.state).to_owned()]);
    table(["number", "migration", "state"], rows, 3)
}

fn state(state: State) -> &'static str {
    match state {
        State::Applied => "applied",
        State::Pending => "not applied",
        State::Altered => "applied in another form than this Tallybook carries",
        State::Unknown => "applied by a newer Tallybook",
        State::Failed => "begun and not finished",
    }
}

async fn applied(pool: &PgPool) -> Result<BTreeSet<i64>, sqlx::Error> {
    let migrations = migrate::status(pool).await?;
    Ok(migrations.into_iter().filter(|m| m.state == State::Applied).map(|m| m.version).collect())
}
