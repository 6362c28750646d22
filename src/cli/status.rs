//! `tallybook status`: how the rollups stand, on one screen, and what to do about whatever is wrong.
use super::Outcome;
use super::output::{Output, count, printable, table, thousands};
use crate::db::migrate::State;
use crate::db::pool::PgPool;
use crate::rollup::backfill::Progress;
use crate::rollup::problems::{Problem, Severity, problems};
use crate::rollup::status::{self, LastRun, Pending, RawUsage, Rollup, Status, Verification};
use jiff::{SignedDuration, Timestamp, Unit};
use serde_json::json;

const AFTER_HELP: &str = "\
Exit codes:
  0  all is well, or there are only warnings
  1  there is a fault: changes are not captured, a rollup differs from raw usage, the last fold failed, or nobody folds
  2  could not find out: the database does not answer, or its schema is not complete";

/// Show how the database and the rollups stand.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// Answer with a JSON object: `well`, `problems`, and everything that is shown.
    #[arg(long)]
    json: bool,
}

/// Reads the status and prints it.
pub(super) async fn run(arguments: &Arguments, pool: &PgPool, out: &mut Output) -> anyhow::Result<Outcome> {
    let status = status::status(pool).await?;
    let problems = problems(&status);
    let is_well = problems.iter().all(|problem| problem.severity != Severity::Fault);
    if arguments.json {
        let mut document = serde_json::to_value(&status)?;
        document["well"] = json!(is_well);
        document["problems"] = json!(problems);
        out.json(&document)?;
    } else {
        print(&status, &problems, out)?;
    }
    Ok(if is_well { Outcome::Done } else { Outcome::Negative })
}

fn print(status: &Status, problems: &[Problem], out: &mut Output) -> anyhow::Result<()> {
    let writable = if status.is_standby { "a standby: read only" } else { "accepts writes" };
    for (name, value) in [
        ("As of", format!("{:.0}", status.as_of)),
        ("Database", format!("PostgreSQL {}, {}, {writable}", status.server_version, bytes(status.database_bytes))),
        ("Schema", schema(status)),
        ("Capture", capture(&status.capture_faults)),
        ("Pending", pending(&status.pending)),
        ("Last fold", last_fold(&status.last_run, status.as_of)),
        ("Verified", verified(&status.verification)),
        ("Backfill", backfilled(&status.backfill)),
        ("Transactions", transactions(status)),
        ("Raw usage", raw_usage(&status.raw_usage)),
    ] {
        out.line(format_args!("{name:<13} {}", printable(&value)))?;
    }
    let header = ["rollup", "covered from", "days covered", "keys differing", "rows (about)", "size"];
    out.line(format_args!("\n{}\n", table(header, status.rollups.iter().map(row), 2)))?;
    if problems.is_empty() {
        out.line("All is well.")?;
    }
    for problem in problems {
        let severity = match problem.severity {
            Severity::Fault => "FAULT",
            Severity::Warning => "WARNING",
        };
        out.line(format_args!("{severity}: {}", printable(&problem.what)))?;
        out.line(format_args!("  {}", printable(&problem.advice)))?;
    }
    Ok(())
}

fn schema(status: &Status) -> String {
    let with = |state| status.migrations.iter().filter(|m| m.state == state).count();
    match with(State::Unknown) {
        0 => format!("{}, all in place", count(with(State::Applied), "migration")),
        newer => format!("{} and {newer} of a newer Tallybook", count(with(State::Applied), "migration")),
    }
}

fn capture(faults: &[String]) -> String {
    match faults {
        [] => "intact: every trigger is in place and enabled".to_owned(),
        faults => format!("BROKEN: {}", count(faults.len(), "fault")),
    }
}

fn pending(pending: &Pending) -> String {
    let kinds = [
        (pending.usage_rows, "usage"),
        (pending.task_rows, "tasks"),
        (pending.agent_rows, "agents"),
        (pending.issue_rows, "issues"),
        (pending.sealed_rows, "sealed usage"),
    ];
    let Some(oldest) = pending.oldest_seconds else { return "nothing".to_owned() };
    let all = count(kinds.iter().map(|(rows, _)| rows).sum::<i64>(), "change row");
    let kinds: Vec<String> =
        kinds.iter().filter(|(rows, _)| *rows > 0).map(|(rows, kind)| format!("{} of {kind}", thousands(rows))).collect();
    format!("{all} ({}), the oldest captured {} ago; reads count them in", kinds.join(", "), age(oldest))
}

fn last_fold(last_run: &LastRun, as_of: Timestamp) -> String {
    let done = match (last_run.finished_at, last_run.rows) {
        (Some(at), rows) => {
            let rows = rows.map_or_else(String::new, |rows| format!(", {}", count(rows, "rollup row")));
            format!("{at:.0}, {} ago{rows}", age(as_of.duration_since(at).as_secs_f64()))
        }
        (None, _) => "none yet".to_owned(),
    };
    match last_run.failed_at {
        Some(at) => format!("{done}; FAILED {} ago", age(as_of.duration_since(at).as_secs_f64())),
        None => done,
    }
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

/// How far backfill is in the rollup that lacks most.
fn backfilled(progress: &[Progress]) -> String {
    let Some(most) = progress.iter().filter(|p| !p.covered).max_by_key(|p| p.raw_rows_left) else {
        return "done: all history is covered".to_owned();
    };
    let left = format!("{}{} left", if most.is_estimate { "about " } else { "" }, count(most.raw_rows_left, "raw row"));
    let time = most.seconds_left.map(SignedDuration::try_from_secs_f64).and_then(Result::ok);
    match (most.last_slice_at, time) {
        (Some(at), Some(time)) => {
            format!("{left}, {:#} at the last pace, the last slice at {at:.0}", time.round(Unit::Second).unwrap_or(time))
        }
        _ => format!("{left}, not begun"),
    }
}

fn transactions(status: &Status) -> String {
    match status.long_transactions.as_slice() {
        [] => "none that has been open for long".to_owned(),
        [oldest, ..] => {
            let number = count(status.long_transactions.len(), "long one");
            format!("{number}, the oldest for {}: {}", age(oldest.seconds), oldest.who)
        }
    }
}

fn raw_usage(raw: &RawUsage) -> String {
    format!("{} rows (about), {}", estimated(raw.rows_estimated), bytes(raw.size_bytes))
}

fn row(rollup: &Rollup) -> [String; 6] {
    let covered = match (rollup.uncovered, rollup.covered_from) {
        (true, _) => "nothing yet: read from raw".to_owned(),
        (false, Some(from)) => format!("{from:.0}, before that read from raw"),
        (false, None) => "the beginning".to_owned(),
    };
    [
        rollup.name.clone(),
        covered,
        format!("{} of {}", thousands(rollup.days - rollup.uncovered_days), thousands(rollup.days)),
        thousands(rollup.drifted_keys),
        estimated(rollup.rows_estimated),
        bytes(rollup.size_bytes),
    ]
}

/// The planner has not looked at a young table yet: 0 would be read as a number.
fn estimated(rows: i64) -> String {
    if rows == 0 { "-".to_owned() } else { thousands(rows) }
}

/// So many seconds, in words: tenths below a minute, else whole seconds, minutes, hours.
fn age(seconds: f64) -> String {
    let Ok(age) = SignedDuration::try_from_secs_f64(seconds.max(0.0)) else { return "very long".to_owned() };
    if age.as_secs() < 60 {
        return format!("{:.1} s", age.as_secs_f64());
    }
    let (minutes, hours) = (age.as_mins(), age.as_hours());
    match hours {
        0 => format!("{minutes} min"),
        1..48 => format!("{hours} h {} min", minutes % 60),
        _ => format!("{} days", hours / 24),
    }
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

    #[test]
    fn ages_are_told_as_people_do() {
        let told = [-1.0, 0.04, 59.94, 60.0, 3_599.0, 3_600.0, 90_061.0, 172_800.0, f64::INFINITY].map(age);
        assert_eq!(told, ["0.0 s", "0.0 s", "59.9 s", "1 min", "59 min", "1 h 0 min", "25 h 1 min", "2 days", "very long"]);
    }
}
