//! `tallybook adopt`: whether a database can be adopted, what was altered in it since, and moving over from the usual design.
use super::output::{Output, count, printable, table, thousands};
use super::{Outcome, usual_design};
use crate::adopt::{self, Finding, Report, Severity, Standing};
use crate::db::pool::PgPool;
use serde_json::json;

const HELP: &str = "\
`tallybook migrate up --adopt` adopts the tables that are there; docs/ADOPTION.md tells all of it.

Exit codes of --check and --refresh:
  0  the database can be adopted, or is; what was altered is followed
  1  something stands in the way
  2  could not find out

Examples:
  tallybook adopt --check
  tallybook adopt --check --json
  tallybook adopt --refresh";

/// Take over a database that is in use.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP, subcommand_negates_reqs = true, args_conflicts_with_subcommands = true)]
pub(super) struct Arguments {
    #[command(flatten)]
    asked: Asked,
    /// Answer with a JSON object: `standing`, `can_be_adopted`, the `tables`, the `indexes` to be built and the `findings`; with --refresh `changes` and `is_uncovered`.
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

/// One of the two.
#[derive(Debug, clap::Args)]
#[group(id = "asked", required = true, multiple = false)]
struct Asked {
    /// Say what stands in the way of adopting this database, all of it at once, and what adopting it takes; change nothing.
    #[arg(long)]
    check: bool,
    /// Follow the host's migrations: find renamed columns again, and capture by their new names.
    #[arg(long)]
    refresh: bool,
}

/// What else there is to take over.
#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Move over from the usual design: a watermark, a dirty queue, a cron job.
    #[command(subcommand)]
    UsualDesign(usual_design::Command),
}

impl Arguments {
    /// Whether it works on a database that has not every migration, or none.
    pub(super) fn takes_any_schema(&self) -> bool {
        self.asked.check
    }
}

/// Does what was asked.
pub(super) async fn run(arguments: Arguments, pool: &PgPool, out: &mut Output) -> anyhow::Result<Outcome> {
    match arguments.command {
        Some(Command::UsualDesign(command)) => usual_design::run(command, pool, out).await,
        None if arguments.asked.check => check(arguments.json, pool, out).await,
        None => refresh(arguments.json, pool, out).await,
    }
}

async fn check(as_json: bool, pool: &PgPool, out: &mut Output) -> anyhow::Result<Outcome> {
    let report = adopt::check(pool).await.map_err(located)?;
    if as_json {
        out.json(&report)?;
    } else {
        print(&report, out)?;
        out.line(verdict(&report))?;
    }
    Ok(if report.can_be_adopted { Outcome::Done } else { Outcome::Negative })
}

async fn refresh(as_json: bool, pool: &PgPool, out: &mut Output) -> anyhow::Result<Outcome> {
    let followed = adopt::refresh(pool).await.map_err(located)?;
    if as_json {
        out.json(&json!(followed))?;
        return Ok(Outcome::Done);
    }
    for change in &followed.changes {
        out.line(printable(change))?;
    }
    if followed.is_uncovered {
        out.line("Changes had not been captured: all days are read from raw until `tallybook backfill`, or `tallybook serve`, has covered them again.")?;
    } else if followed.changes.is_empty() {
        out.line("Nothing to do: every column is where it was.")?;
    }
    Ok(Outcome::Done)
}

/// The errors' messages follow the words "the database".
pub(super) fn located(error: adopt::Error) -> anyhow::Error {
    match error {
        adopt::Error::Database(error) => error.into(),
        error => anyhow::anyhow!("the database {error}"),
    }
}

/// Shows a report, but for what it comes to.
pub(super) fn print(report: &Report, out: &mut Output) -> anyhow::Result<()> {
    if !report.tables.is_empty() {
        let rows = report.tables.iter().map(|table| {
            let kind = match table.partitions {
                0 => table.kind.clone(),
                partitions => format!("{}, {}", table.kind, count(partitions, "partition")),
            };
            let captured_by = format!("by {}{}", table.captured_by, if table.is_replicated { ", always" } else { "" });
            [table.name.clone(), kind, captured_by, thousands(table.rows_estimated)]
        });
        out.line(format_args!("{}\n", table(["table", "kind", "captured", "rows, about"], rows, 3)))?;
    }
    for finding in &report.findings {
        print_finding(finding, out)?;
    }
    if report.can_be_adopted && !report.indexes.is_empty() {
        out.line("To be built, concurrently:")?;
        for index in &report.indexes {
            out.line(format_args!("  {}", printable(index)))?;
        }
        out.line("")?;
    }
    Ok(())
}

fn print_finding(finding: &Finding, out: &mut Output) -> anyhow::Result<()> {
    let severity = match finding.severity {
        Severity::Obstacle => "OBSTACLE",
        Severity::Note => "NOTE",
    };
    out.line(format_args!("{severity:<9} {}: {}", printable(&finding.place), printable(&finding.what)))?;
    if !finding.advice.is_empty() {
        out.line(format_args!("{:10}{}", "", printable(&finding.advice)))?;
    }
    Ok(out.line("")?)
}

fn verdict(report: &Report) -> String {
    let obstacles = report.obstacles().count();
    match report.standing {
        Standing::Own => "Nothing to adopt: the tables are Tallybook's own.".to_owned(),
        _ if obstacles > 0 => {
            format!(
                "{} in the way of adopting this database.",
                if obstacles == 1 { "1 finding stands".to_owned() } else { format!("{obstacles} findings stand") }
            )
        }
        Standing::NotAdopted => "This database can be adopted: `tallybook migrate up --adopt` does it.".to_owned(),
        Standing::Begun => "Adoption was begun: `tallybook migrate up --adopt` goes on.".to_owned(),
        Standing::Adopted => "This database is adopted.".to_owned(),
    }
}
