//! `tallybook repair`: rebuilds the days that differ from the raw rows.
use super::output::{Output, count};
use super::{Outcome, verify};
use crate::rollup::repair;
use serde_json::json;
use sqlx::PgPool;

const AFTER_HELP: &str = "\
Verifies, rebuilds each differing day from the raw rows in a transaction of its own, and verifies again. Nothing is done where nothing differs. Raw usage is never touched; reports go on meanwhile.

Exit codes:
  0  exact now
  1  still not exact
  2  could not be done";

/// Rebuild the days on which the rollups differ from the raw rows.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// Answer with a JSON object: `exact`, `days`, `rows_written`, and the reports `before` and `after`.
    #[arg(long)]
    json: bool,
}

/// Repairs, and prints what was rebuilt.
pub(super) async fn run(arguments: &Arguments, pool: &PgPool, out: &mut Output) -> anyhow::Result<Outcome> {
    let report = repair::repair(pool).await?;
    if arguments.json {
        out.json(&json!({
            "exact": report.after.exact(),
            "days": report.days,
            "rows_written": report.rows_written,
            "before": verify::document(&report.before),
            "after": verify::document(&report.after),
        }))?;
        return Ok(verify::outcome(&report.after));
    }
    verify::print(&report.before, out)?;
    if report.days.is_empty() {
        out.line("Exact: nothing to repair.")?;
        return Ok(Outcome::Done);
    }
    out.line(format_args!("\nRebuilt {}, {}:", count(report.days.len(), "day"), count(report.rows_written, "rollup row")))?;
    for day in &report.days {
        out.line(format_args!("  {day}"))?;
    }
    if report.after.exact() {
        out.line("Exact now.")?;
    } else {
        out.line("Still not exact:")?;
        verify::print(&report.after, out)?;
    }
    Ok(verify::outcome(&report.after))
}
