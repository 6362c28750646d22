//! `tallybook migrate`: installs, updates and removes the schema.
use super::output::{self, Output, printable, table};
use super::{Outcome, adopt as adoption, failure, time};
use crate::adopt::{self, Form, Patience, Standing};
use crate::audit::Actor;
use crate::db::migrate::{self, Migration, State};
use crate::db::pool::PgPool;
use crate::db::schema;
use crate::retention;
use crate::schedule::pg_cron::Cron;
use anyhow::bail;
use std::collections::BTreeSet;
use std::time::Duration;

const UP_HELP: &str = "\
Safe at any time and from any number of machines at once: each migration is one transaction, and whoever comes second finds the work done. `tallybook serve` does the same at its start.

With --adopt it uses the source tables that are there. On them come triggers and indexes named tallybook_*, and nothing else; no row is touched. Indexes are built concurrently; triggers come table by table, each as soon as its table is free for a moment. It may be stopped, and run again, at any time. `tallybook adopt --check` says beforehand what it will find.

Examples:
  tallybook migrate up
  tallybook migrate up --adopt
  tallybook migrate up --adopt --capture row --lock-wait 1h";

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
    Up(Up),
    /// Revert migrations, newest first.
    #[command(after_help = DOWN_HELP)]
    Down(Down),
    /// List the migrations; exit 1 unless all are applied.
    Status(Status),
}

/// What to use.
#[derive(Debug, clap::Args)]
pub(super) struct Up {
    /// Use the source tables that somebody else has made in schema public.
    #[arg(long)]
    adopt: bool,
    /// How usage is captured [default: by row where partitions or logical replication are written, else by statement].
    #[arg(long, value_name = "FORM", value_enum, requires = "adopt")]
    capture: Option<Form>,
    #[command(flatten)]
    locks: Locks,
}

/// How long to wait for locks on adopted tables.
#[derive(Clone, Copy, Debug, clap::Args)]
struct Locks {
    /// How long one attempt to lock an adopted table may wait, and a writer behind it; with partitions up to five times as long.
    #[arg(long, value_name = "TIME", value_parser = time::some, default_value = "200ms")]
    lock_timeout: Duration,
    /// How long to go on trying.
    #[arg(long, value_name = "TIME", value_parser = time::some, default_value = "10m")]
    lock_wait: Duration,
}

impl From<Locks> for Patience {
    fn from(Locks { lock_timeout, lock_wait }: Locks) -> Self {
        Self { lock_timeout, lock_wait }
    }
}

/// How far down.
#[derive(Debug, clap::Args)]
pub(super) struct Down {
    /// Number of the newest migration to keep; 0 keeps none [default: the one before the newest].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(0..))]
    to: Option<i64>,
    /// Allow sealed usage to be deleted, where the migration that brought it is reverted, and the raw usage, too, with --to 0.
    #[arg(long)]
    delete_usage: bool,
    #[command(flatten)]
    locks: Locks,
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
        Command::Up(Up { adopt: true, capture, locks }) => take(capture, locks.into(), pool, out).await,
        Command::Up(_) => up(pool, out).await,
        Command::Down(down) => revert(&down, pool, out).await,
        Command::Status(status) => list(&status, pool, out).await,
    }
}

async fn up(pool: &PgPool, out: &mut Output) -> anyhow::Result<Outcome> {
    let before = applied(pool).await?;
    schema::ensure(pool).await.map_err(|error| anyhow::anyhow!("the database {error}"))?;
    let new: Vec<_> =
        migrate::status(pool).await?.into_iter().filter(|m| m.state == State::Applied && !before.contains(&m.version)).collect();
    for migration in &new {
        out.line(format_args!("applied {:04} {}", migration.version, migration.description))?;
    }
    if new.is_empty() {
        out.line("Nothing to do: every migration is applied.")?;
    }
    if schema::is_adopted(pool).await? && adopt::check(pool).await.map_err(adoption::located)?.standing == Standing::Begun {
        out.line("Not every change is captured yet: run `tallybook migrate up --adopt`, or see `tallybook doctor`.")?;
    }
    Ok(Outcome::Done)
}

/// Shows steps as they are taken. That one cannot be shown is no reason to stop halfway: it is told in the end.
struct Steps<'a> {
    out: &'a mut Output,
    taken: usize,
    failure: Option<output::Error>,
}

impl Steps<'_> {
    fn show(&mut self, step: &str) {
        self.taken += 1;
        // Seen at once: the next step may take hours.
        if let Err(error) = self.out.line(printable(step)).and_then(|()| self.out.finish()) {
            self.failure.get_or_insert(error);
        }
    }

    /// The first that could not be shown.
    fn end(self) -> Result<(), output::Error> {
        self.failure.map_or(Ok(()), Err)
    }
}

/// Adopts the database, step by step.
async fn take(form: Option<Form>, patience: Patience, pool: &PgPool, out: &mut Output) -> anyhow::Result<Outcome> {
    let mut steps = Steps { out, taken: 0, failure: None };
    let adopted = adopt::install(pool, form, patience, |step| steps.show(&step)).await;
    let taken = steps.taken;
    let mut shown = steps.end().map_err(Into::into);
    if let Err(adopt::Error::Refused(report)) = &adopted {
        shown = shown.and_then(|()| adoption::print(report, out));
    }
    failure::both(adopted.map_err(adoption::located), shown)?;
    out.line(if taken > 0 {
        "Every change is captured from now on. Reads are exact; `tallybook serve`, or `tallybook backfill`, covers history."
    } else {
        "Nothing to do: this database is adopted, and every migration is applied."
    })?;
    Ok(Outcome::Done)
}

async fn revert(down: &Down, pool: &PgPool, out: &mut Output) -> anyhow::Result<Outcome> {
    let before = migrate::status(pool).await?;
    let mut newest_first = before.iter().rev().filter(|m| m.state != State::Pending);
    let Some(newest) = newest_first.next() else {
        // Whoever was killed after the last of them was reverted has left the list of them behind.
        if down.to == Some(0) && migrate::has_list(pool).await? {
            migrate::down(pool, 0).await?;
        }
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
    if let Some(newer) = before.iter().find(|m| m.state == State::Unknown && m.version > target) {
        bail!("a newer Tallybook applied migration {}: revert that with its release, then go on with this one", newer.version);
    }
    let is_adopted = schema::is_adopted(pool).await?;
    if target == 0 && !is_adopted && !down.delete_usage && schema::holds_usage(pool).await? {
        bail!("going down to 0 would delete the raw usage; say --delete-usage if that is meant, or --to 1 to keep it");
    }
    let holds_sealed = target < migrate::SEALING && schema::holds_sealed_usage(pool).await?;
    if holds_sealed && !down.delete_usage {
        bail!("going down to {target} would delete the sealed usage, which is nowhere else; say --delete-usage if that is meant");
    }
    // Without a session of its own nothing will be reverted; then nothing is deleted, either.
    pool.session_options().await??;
    if target < migrate::TICK
        && newest.version >= migrate::TICK
        && let Some(job) = Cron::remove_job(pool).await?
    {
        out.line(format_args!("removed the job {job:?} of pg_cron, which would call what goes"))?;
    }
    if holds_sealed {
        retention::discard(pool, &Actor::cli()).await?;
    }
    if is_adopted && target < migrate::CAPTURE {
        let mut steps = Steps { out, taken: 0, failure: None };
        let removed = adopt::remove(pool, target, down.locks.into(), |step| steps.show(&step)).await;
        failure::both(removed.map_err(adoption::located), steps.end())?;
    } else {
        migrate::down(pool, target).await?;
    }
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
