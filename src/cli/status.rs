//! `tallybook status`: how the rollups stand, on one screen.
use super::Outcome;
use super::output::{Output, count, printable, table, thousands};
use crate::db::migrate::State;
use crate::rollup::status::{self, Rollup, Status, Verification};
use jiff::SignedDuration;
use serde_json::json;
use sqlx::PgPool;

const AFTER_HELP: &str = "\
Exit codes:
  0  all is well
  1  something is wrong: capture has a fault, there is drift, a migration is missing, or the last fold failed
  2  could not find out";

/// Show how the database and the rollups stand.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// Answer with a JSON object: `well`, and everything that is shown.
    #[arg(long)]
    json: bool,
}

/// Reads the status and prints it.
pub(super) async fn run(arguments: &Arguments, pool: &PgPool, out: &mut Output) -> anyhow::Result<Outcome> {
    let status = status::status(pool).await?;
    let faults = faults(&status);
    if arguments.json {
        let mut document = serde_json::to_value(&status)?;
        document["well"] = json!(faults.is_empty());
        out.json(&document)?;
    } else {
        print(&status, &faults, out)?;
    }
    Ok(if faults.is_empty() { Outcome::Done } else { Outcome::Negative })
}

/// What is wrong, a sentence each.
fn faults(status: &Status) -> Vec<String> {
    let capture = status.capture_faults.iter().map(|fault| format!("capture: {fault}"));
    let fold = status.last_run.error.iter().map(|error| format!("the last fold failed: {error}"));
    let migrations = status.migrations.iter().filter(|m| m.state != State::Applied);
    let migrations =
        migrations.map(|m| format!("migration {:04} is not in place; `tallybook migrate status` tells more", m.version));
    let drift = status.verification.drift.iter().map(|drift| {
        let (keys, days) = (count(drift.keys, "key"), count(drift.days, "day"));
        format!(
            "drift: {keys} of {} on {days}; `tallybook doctor` looks for the cause, `tallybook repair` rebuilds the days",
            drift.rollup
        )
    });
    capture.chain(drift).chain(fold).chain(migrations).collect()
}

fn print(status: &Status, faults: &[String], out: &mut Output) -> anyhow::Result<()> {
    let pending = &status.pending;
    let rows = pending.usage_rows + pending.task_rows + pending.agent_rows + pending.issue_rows;
    let lag = match status.lag_seconds.map(SignedDuration::try_from_secs_f64) {
        _ if rows == 0 => "none".to_owned(),
        None => "unknown before the first fold".to_owned(),
        Some(Ok(lag)) => format!("{lag:#.1}"),
        Some(Err(error)) => error.to_string(),
    };
    let last_fold = match (status.last_run.finished_at, status.last_run.rows) {
        (Some(at), Some(rows)) => format!("{at:.0}, {} rollup rows", thousands(rows)),
        (Some(at), None) => format!("{at:.0}"),
        (None, _) => "none yet".to_owned(),
    };
    for (name, value) in [
        ("PostgreSQL", format!("{}, database of {}", status.server_version, bytes(status.database_bytes))),
        ("Migrations", format!("{} applied", status.migrations.iter().filter(|m| m.state == State::Applied).count())),
        ("Pending", format!("{} change rows (reads count them in)", thousands(rows))),
        ("Oldest pending", lag),
        ("Last fold", last_fold),
        ("Verified", verified(&status.verification)),
    ] {
        out.line(format_args!("{name:<15} {value}"))?;
    }
    out.line(format_args!(
        "\n{}\n",
        table(["rollup", "covered from", "rows (about)", "size"], status.rollups.iter().map(row), 2)
    ))?;
    if faults.is_empty() {
        out.line("All is well.")?;
    }
    for fault in faults {
        out.line(format_args!("FAULT: {}", printable(fault)))?;
    }
    Ok(())
}

/// How far the service's verification is.
fn verified(verification: &Verification) -> String {
    match (verification.checked_at, verification.checked_since, verification.reached) {
        (None, ..) => "not yet by a service; `tallybook verify` does it at once".to_owned(),
        (Some(at), Some(since), _) => format!("every day since {since:.0}, the last at {at:.0}"),
        (Some(at), None, Some(reached)) => format!("from {reached} on, the last at {at:.0}"),
        (Some(at), None, None) => format!("the newest days, the last at {at:.0}"),
    }
}

fn row(rollup: &Rollup) -> [String; 4] {
    let covered = match (rollup.uncovered, rollup.covered_from) {
        (true, _) => "nothing yet: read from raw".to_owned(),
        (false, Some(from)) => format!("{from:.0}, before that read from raw"),
        (false, None) => "the beginning".to_owned(),
    };
    // The planner has not looked at a young table yet: 0 would be read as a number.
    let rows = if rollup.rows_estimated == 0 { "-".to_owned() } else { thousands(rollup.rows_estimated) };
    [rollup.name.clone(), covered, rows, bytes(rollup.size_bytes)]
}

/// A size in the largest unit that leaves at least ten.
fn bytes(size: i64) -> String {
    let mut size = size;
    for unit in ["B", "kB", "MB"] {
        if size < 10_240 {
            return format!("{size} {unit}");
        }
        size /= 1024;
    }
    format!("{} GB", thousands(size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_keep_at_least_two_digits() {
        assert_eq!([0, 8_192, 10_240, 20_971_520, 21_474_836_480].map(bytes), ["0 B", "8192 B", "10 kB", "20 MB", "20 GB"]);
    }
}
