//! `tallybook doctor`: what endangers exactness, and what to do about it.
use super::Outcome;
use super::output::{Output, count, printable};
use crate::db::pool::PgPool;
use crate::doctor::{self, Finding, Report, Severity};
use anyhow::bail;
use serde_json::json;

const AFTER_HELP: &str = "\
Looks at the triggers and functions that keep the rollups exact (compared with what the migrations make), at rights, settings, indexes and the kind of the tables, at transactions that keep vacuum away, and at usage that belongs to no task. It changes nothing, and needs the rights of the role that ran `tallybook migrate up`.

Exit codes:
  0  healthy: nothing endangers exactness
  1  something does
  2  could not check";

/// Find what can break exactness before it does.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// Answer with a JSON object: `healthy`, the `findings`, each with the SQL that mends it where some does, and what was left `unchecked`.
    #[arg(long)]
    json: bool,
}

/// Examines the database, and prints what was found.
pub(super) async fn run(arguments: &Arguments, pool: &PgPool, out: &mut Output) -> anyhow::Result<Outcome> {
    let report = doctor::examine(pool).await?;
    if arguments.json {
        let mut document = json!(report);
        document["healthy"] = json!(report.healthy());
        out.json(&document)?;
    } else {
        print(&report, out)?;
    }
    if !report.healthy() {
        return Ok(Outcome::Negative);
    }
    if !report.unchecked.is_empty() {
        let left = report.unchecked.iter().map(|u| format!("{} ({})", u.check, u.reason)).collect::<Vec<_>>();
        bail!("could not check: {}", left.join("; "));
    }
    Ok(Outcome::Done)
}

fn print(report: &Report, out: &mut Output) -> anyhow::Result<()> {
    for finding in &report.findings {
        print_finding(finding, out)?;
    }
    for unchecked in &report.unchecked {
        out.line(format_args!("UNCHECKED  {}: {}\n", unchecked.check, printable(&unchecked.reason)))?;
    }
    let dangers = report.dangers().count();
    if dangers > 0 {
        let verb = if dangers == 1 { "endangers" } else { "endanger" };
        out.line(format_args!("{} {verb} exactness.", count(dangers, "finding")))?;
    } else if report.unchecked.is_empty() {
        out.line("Healthy: nothing endangers exactness.")?;
    }
    Ok(())
}

fn print_finding(finding: &Finding, out: &mut Output) -> anyhow::Result<()> {
    let severity = match finding.severity {
        Severity::Danger => "DANGER",
        Severity::Warning => "WARNING",
        Severity::Note => "NOTE",
    };
    let (place, what) = (printable(&finding.place), printable(&finding.what));
    out.line(format_args!("{severity:<9}  {place}: {what}"))?;
    out.line(format_args!("{:11}{}", "", finding.advice))?;
    match &finding.sql {
        None => {}
        Some(sql) if sql.contains('\n') => out.line(format_args!("{:11}`tallybook doctor --json` has the SQL.", ""))?,
        Some(sql) => out.line(format_args!("{:11}  {};", "", printable(sql)))?,
    }
    Ok(out.line("")?)
}
