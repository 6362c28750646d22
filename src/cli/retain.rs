//! `tallybook retain`: takes old usage out of the raw table while every sum stays.
use super::Outcome;
use super::output::{Output, count, printable, table, thousands};
use crate::audit::Actor;
use crate::db::pool::PgPool;
use crate::retention::{self, Age, Event, Options, Plan, PlannedDay, Policy, Report, ThinnedDay};
use anyhow::bail;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::SignedDuration;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tracing::info;

/// How often the log tells how far it is.
const TELL_EVERY: Duration = Duration::from_secs(10);
/// Days that are printed; the report in JSON names all.
const DAYS_SHOWN: usize = 20;

const AFTER_HELP: &str = "\
Sealed usage counts as before, in every total by day, quarter hour, workspace, runtime, agent, project, provider and model, and stays where it was: later moves do not change it. It is no longer known by its task and issue. The same reports again change nothing, late ones still add up. See docs/RETENTION.md.

Each UTC day is compared with the rollups before and after; a day that differs is left alone and said. Batches are transactions of their own: a run can be stopped or killed at any time, and the next one goes on. What somebody else is writing is left to the next run.

A bar on the terminal shows how far it is; without a terminal, --log-level info does.

Exit codes:
  0  done, or nothing to do
  1  done but for days on which a rollup differs
  2  could not be done, or not all of it

Examples:
  tallybook retain --raw 90d --dry-run               say what would be sealed
  tallybook retain --raw 90d                         keep the raw usage of 90 days
  tallybook retain --raw 90d --quarter-hours 365d    and the quarter hours of a year";

/// Seal old usage: raw rows go, every total stays.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// Seal raw usage that happened more than so many UTC days before today.
    #[arg(long, value_name = "DAYS", required_unless_present = "quarter_hours")]
    raw: Option<Age>,
    /// Keep sealed usage that happened more than so many UTC days before today by day, no longer by quarter hour.
    #[arg(long, value_name = "DAYS")]
    quarter_hours: Option<Age>,
    /// Raw rows that one transaction seals at most.
    #[arg(long, value_name = "N", default_value_t = retention::run::BATCH_ROWS, value_parser = clap::value_parser!(i64).range(1..=100_000))]
    batch_rows: i64,
    /// Pause after each transaction, such as 200ms.
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = pause)]
    pause: Duration,
    /// Let foreign keys of other tables that refer to raw usage delete or change those tables' rows, as their ON DELETE says.
    #[arg(long)]
    follow_foreign_keys: bool,
    /// Say what would be done, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Answer with a JSON object: the `plan` and, unless --dry-run, what was `done`, by UTC day.
    #[arg(long)]
    json: bool,
}

fn pause(text: &str) -> Result<Duration, &'static str> {
    let wrong = "a time, such as 200ms or 1s";
    let parsed: SignedDuration = text.parse().map_err(|_| wrong)?;
    Duration::try_from(parsed).map_err(|_| wrong)
}

/// Does what was asked, or says what it would be, and tells how far it is.
pub(super) async fn run(arguments: &Arguments, pool: &PgPool, out: &mut Output) -> anyhow::Result<Outcome> {
    if let (Some(raw), Some(quarter_hours)) = (arguments.raw, arguments.quarter_hours)
        && quarter_hours < raw
    {
        bail!("--quarter-hours {quarter_hours} is less than --raw {raw}: only sealed usage can be kept by day");
    }
    let plan = retention::plan(pool, Policy { raw: arguments.raw, quarter_hours: arguments.quarter_hours }).await?;
    if arguments.dry_run {
        return dry_run(arguments, &plan, out);
    }
    let mut teller = Teller::new(&plan)?;
    let Arguments { batch_rows, pause, follow_foreign_keys, .. } = *arguments;
    let options = Options { batch_rows, pause, follow_foreign_keys };
    let report = retention::run(pool, &Actor::cli(), &plan, options, |event| teller.tell(event)).await?;
    teller.bar.finish_and_clear();
    if arguments.json {
        out.json(&json!({ "dry_run": false, "plan": plan, "done": done(&report) }))?;
    } else {
        print(&plan, &report, out)?;
    }
    Ok(if report.differing.is_empty() { Outcome::Done } else { Outcome::Negative })
}

/// Shows how far it is: on the terminal, or in the log.
struct Teller {
    bar: ProgressBar,
    days: usize,
    days_planned: usize,
    told: Instant,
}

impl Teller {
    fn new(plan: &Plan) -> anyhow::Result<Self> {
        let style = "{bar:30} {percent:>3} % of {human_len} raw rows sealed, {per_sec}, {eta} left, {msg} days done";
        let bar = ProgressBar::new(u64::try_from(plan.raw_rows())?).with_style(ProgressStyle::with_template(style)?);
        let days_planned = plan.seal.len() + plan.thin.len();
        info!(raw_rows.planned = plan.raw_rows(), days.planned = days_planned, "old usage is about to be sealed");
        Ok(Self { bar, days: 0, days_planned, told: Instant::now() })
    }

    fn tell(&mut self, event: Event) {
        match event {
            Event::Sealed(rows) => self.bar.inc(u64::try_from(rows).unwrap_or_default()),
            Event::DayDone => {
                self.days += 1;
                self.bar.set_message(format!("{} of {}", self.days, self.days_planned));
            }
        }
        if self.told.elapsed() >= TELL_EVERY || self.days == self.days_planned {
            self.told = Instant::now();
            info!(
                raw_rows.sealed = self.bar.position(),
                raw_rows.planned = self.bar.length().unwrap_or(0),
                days.done = self.days,
                days.planned = self.days_planned,
                "old usage is being sealed"
            );
        }
    }
}

fn dry_run(arguments: &Arguments, plan: &Plan, out: &mut Output) -> anyhow::Result<Outcome> {
    if arguments.json {
        out.json(&json!({ "dry_run": true, "plan": plan }))?;
        return Ok(Outcome::Done);
    }
    for (before, days, verb) in [(plan.seal_before, &plan.seal, "seal"), (plan.thin_before, &plan.thin, "thin")] {
        let Some(before) = before else { continue };
        if days.is_empty() {
            out.line(format_args!("Nothing to {verb} before {before}."))?;
        } else {
            let rows: i64 = days.iter().map(|day| day.rows).sum();
            let (rows, number) = (count(rows, "row"), count(days.len(), "day"));
            out.line(format_args!("Would {verb} {rows} of {number} before {before}:\n{}", listing(days)))?;
        }
    }
    for reference in plan.references.iter().filter(|reference| reference.is_in_the_way(arguments.follow_foreign_keys)) {
        out.line(format_args!("Would be refused: raw usage is referred to by {}.", printable(&reference.to_string())))?;
    }
    Ok(Outcome::Done)
}

/// The days with their rows; in the middle some are left out where there are many.
fn listing(days: &[PlannedDay]) -> String {
    let row = |planned: &PlannedDay| [planned.day.to_string(), thousands(planned.rows)];
    if days.len() <= DAYS_SHOWN {
        return table(["day", "rows"], days.iter().map(row), 1);
    }
    let half = DAYS_SHOWN / 2;
    let between = [format!("... {} more", days.len() - DAYS_SHOWN), String::new()];
    let shown = days[..half].iter().map(row).chain([between]).chain(days[days.len() - half..].iter().map(row));
    table(["day", "rows"], shown, 1)
}

fn print(plan: &Plan, report: &Report, out: &mut Output) -> anyhow::Result<()> {
    match plan.seal_before {
        Some(before) if plan.seal.is_empty() => out.line(format_args!("Nothing to seal before {before}."))?,
        Some(before) => {
            let (rows, days) = (count(report.rows_sealed(), "raw row"), count(report.sealed.len(), "day"));
            out.line(format_args!("Sealed {rows} of {days} before {before}."))?;
        }
        None => {}
    }
    if report.rows_left() > 0 {
        let rows = count(report.rows_left(), "raw row");
        out.line(format_args!("{rows} of these days stayed: somebody else was writing them, or their task is missing."))?;
    }
    if !report.detached.is_empty() {
        out.line(format_args!("Detached, empty, and yours to drop: {}.", report.detached.join(", ")))?;
    }
    match plan.thin_before {
        Some(before) if plan.thin.is_empty() => out.line(format_args!("Nothing to thin before {before}."))?,
        Some(before) => {
            let sum = |rows: fn(&ThinnedDay) -> i64| thousands(report.thinned.iter().map(rows).sum::<i64>());
            let (old, new) = (sum(|day| day.rows_before), sum(|day| day.rows_after));
            let days = count(report.thinned.len(), "day");
            out.line(format_args!("Thinned {days} before {before}: {old} sums by quarter hour became {new} by day."))?;
        }
        None => {}
    }
    for differing in &report.differing {
        let rollups = differing.rollups.join(" and ");
        out.line(format_args!("LEFT ALONE: {}, where {rollups} differs; `tallybook repair` rebuilds it.", differing.day))?;
    }
    Ok(())
}

fn done(report: &Report) -> Value {
    let mut document = json!(report);
    document["rows_sealed"] = json!(report.rows_sealed());
    document["rows_left"] = json!(report.rows_left());
    document
}
