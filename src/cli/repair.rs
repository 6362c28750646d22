//! `tallybook repair`: rebuilds the days that differ from the raw rows.
use super::days::{self, Days};
use super::output::{Output, count, table, thousands};
use super::{Outcome, verify};
use crate::audit::Actor;
use crate::db::pool::PgPool;
use crate::rollup::repair::{self, Report};
use crate::rollup::verify::{Report as Verified, Scope};
use serde_json::{Value, json};

/// Days that are printed; the report in JSON names all.
const DAYS_SHOWN: usize = 50;

const AFTER_HELP: &str = "\
Verifies, rebuilds each differing day of each differing rollup from the raw rows, in a transaction of its own, and compares those days again. Nothing is done where nothing differs. Raw usage is never touched; reports go on meanwhile. It refuses while changes are not captured: `tallybook doctor` tells why.

Exit codes:
  0  exact now; with --dry-run: nothing to repair
  1  still not exact; with --dry-run: something to repair
  2  could not be done";

/// Rebuild the days on which the rollups differ from the raw rows.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    #[command(flatten)]
    days: Days,
    /// Say what would be rebuilt, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Answer with a JSON object: `exact`, `dry_run`, the `days`, what was `rebuilt`, `rows_written`, and the reports `before` and `after`.
    #[arg(long)]
    json: bool,
}

/// Repairs, and prints what was rebuilt.
pub(super) async fn run(arguments: &Arguments, pool: &PgPool, out: &mut Output) -> anyhow::Result<Outcome> {
    let scope = Scope { range: arguments.days.range()?, ..Scope::default() };
    if !arguments.dry_run {
        repair::require_capture(pool).await?;
    }
    let before = verify::check(pool, &scope).await?;
    if arguments.dry_run {
        return plan(arguments, &before, out);
    }
    let bar = days::bar(before.rollups.iter().map(|r| r.drifted_days.len()).sum(), "days of rollups rebuilt")?;
    let report = repair::rebuild(pool, &Actor::cli(), before, |_| bar.inc(1)).await?;
    bar.finish_and_clear();
    if arguments.json {
        out.json(&document(&report))?;
    } else {
        print(&report, &arguments.days, out)?;
    }
    Ok(verify::outcome(&report.after))
}

/// Tells what would be done.
fn plan(arguments: &Arguments, before: &Verified, out: &mut Output) -> anyhow::Result<Outcome> {
    if arguments.json {
        out.json(&json!({
            "exact": before.exact(),
            "dry_run": true,
            "days": before.drifted_days(),
            "before": verify::document(before),
        }))?;
        return Ok(verify::outcome(before));
    }
    verify::print(before, out)?;
    if before.exact() {
        out.line(nothing(&arguments.days))?;
    } else {
        let days = before
            .rollups
            .iter()
            .flat_map(|r| r.drifted_days.iter().map(|d| [r.name.clone(), d.day.to_string(), thousands(d.keys)]));
        out.line("\nWould rebuild:")?;
        print_days(["rollup", "day", "keys differing"], days.collect(), out)?;
        out.line("Nothing was changed.")?;
    }
    Ok(verify::outcome(before))
}

fn document(report: &Report) -> Value {
    let mut document = json!(report);
    document["exact"] = json!(report.after.exact());
    document["dry_run"] = json!(false);
    document["before"] = verify::document(&report.before);
    document["after"] = verify::document(&report.after);
    document
}

fn print(report: &Report, days: &Days, out: &mut Output) -> anyhow::Result<()> {
    verify::print(&report.before, out)?;
    if report.rebuilt.is_empty() {
        out.line(nothing(days))?;
        return Ok(());
    }
    out.line(format_args!("\nRebuilt {}:", count(report.days.len(), "day")))?;
    let rebuilt = report.rebuilt.iter();
    let rows = rebuilt.map(|d| [d.rollup.clone(), d.day.to_string(), thousands(d.keys), thousands(d.rows_written)]).collect();
    print_days(["rollup", "day", "keys that differed", "rows written"], rows, out)?;
    if report.after.exact() {
        out.line("Exact now.")?;
    } else {
        out.line("Still not exact:")?;
        verify::print(&report.after, out)?;
    }
    Ok(())
}

fn print_days<const N: usize>(header: [&'static str; N], rows: Vec<[String; N]>, out: &mut Output) -> anyhow::Result<()> {
    let more = rows.len().saturating_sub(DAYS_SHOWN);
    out.line(table(header, rows.into_iter().take(DAYS_SHOWN), 2))?;
    if more > 0 {
        out.line(format_args!("and {} more", thousands(more)))?;
    }
    Ok(())
}

fn nothing(days: &Days) -> String {
    format!("Exact{}: nothing to repair.", days.in_words())
}
