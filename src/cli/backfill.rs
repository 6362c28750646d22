//! `tallybook backfill`: covers the history that the rollups do not hold yet.
use super::output::{Output, count, table, thousands};
use super::{Outcome, days, time};
use crate::db::pool::PgPool;
use crate::rollup::backfill::{self, Basis, Event, Options, Plan, Slice, Summary, Throttle};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::SignedDuration;
use jiff::civil::Date;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};
use tracing::{info, warn};

/// How often the log tells how far it is.
const TELL_EVERY: Duration = Duration::from_secs(10);

const AFTER_HELP: &str = "\
Reads are exact before, during and after: days that are not covered are read from the raw rows. `tallybook serve` covers history by itself, slowly (unless it is told --background-backfill=false); this does it at once. It goes from the newest day to the oldest, each slice of whole days in a transaction of its own: it can be stopped or killed at any time and goes on where it was. Ticks, writers and other backfills may run beside it.

A bar on the terminal shows how far it is; without a terminal, --log-level info does. `tallybook status` and the view tallybook.backfill_progress show it from elsewhere.

Examples:
  tallybook backfill --dry-run
  tallybook backfill --since 2026-01-01
  tallybook backfill --max-rows-per-second 20000 --pause 200ms";

/// Cover the history that the rollups do not hold yet.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// Raw rows that one slice reads, more or less: whole days all the same.
    #[arg(long, value_name = "N", default_value_t = backfill::SLICE_ROWS, value_parser = clap::value_parser!(i64).range(1..))]
    slice_rows: i64,
    /// Oldest UTC day to cover [default: the beginning of time].
    #[arg(long, value_name = "DAY", value_parser = days::day)]
    since: Option<Date>,
    /// Raw rows a second to cover at most, pauses included; slices get smaller where that is needed.
    #[arg(long, value_name = "N")]
    max_rows_per_second: Option<NonZeroU32>,
    /// Pause after each slice, such as 200ms or 5s.
    #[arg(long, value_name = "TIME", value_parser = time::any, default_value = "0s", hide_default_value = true)]
    pause: Duration,
    /// Say what is to be covered, in how many slices, and about how long it takes; change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Answer with a JSON object: `slices`, `raw_rows` and `rows_written`; with --dry-run the plan.
    #[arg(long)]
    json: bool,
}

/// Covers history and shows how far it is, or says what there is to do.
pub(super) async fn run(arguments: &Arguments, pool: &PgPool, out: &mut Output) -> anyhow::Result<Outcome> {
    let throttle = Throttle { rows_per_second_max: arguments.max_rows_per_second, pause: arguments.pause };
    let options = Options { slice_rows: arguments.slice_rows, since: arguments.since, throttle };
    if arguments.dry_run {
        let plan = backfill::plan(pool, &options).await?;
        if arguments.json {
            out.json(&plan)?;
        } else {
            print_plan(arguments, &plan, out)?;
        }
        return Ok(Outcome::Done);
    }
    let mut teller = Teller::new(backfill::raw_rows_left(pool, arguments.since).await?)?;
    let summary = backfill::cover(pool, &options, |event| match event {
        Event::Covered(slice) => teller.covered(slice),
        Event::Waits(error) => warn!(%error, "a slice has to wait for other work; trying again"),
    })
    .await?;
    teller.bar.finish_and_clear();
    print(arguments, summary, out)?;
    Ok(Outcome::Done)
}

/// Shows how far it is: on the terminal, or in the log.
struct Teller {
    bar: ProgressBar,
    began: Instant,
    told: Instant,
}

impl Teller {
    fn new(raw_rows: i64) -> anyhow::Result<Self> {
        let style = "{bar:30} {percent:>3} % of {human_len} raw rows, {per_sec}, {eta} left, covered from {msg}";
        let bar = ProgressBar::new(u64::try_from(raw_rows)?).with_style(ProgressStyle::with_template(style)?);
        let now = Instant::now();
        Ok(Self { bar, began: now, told: now })
    }

    fn covered(&mut self, slice: &Slice) {
        let reached = slice.covered_from.map_or_else(|| "the beginning".to_owned(), |from| format!("{from:.0}"));
        // What is left may be an estimate: the bar ends with the work.
        self.bar.inc(u64::try_from(slice.raw_rows).unwrap_or(0));
        self.bar.inc_length(self.bar.position().saturating_sub(self.bar.length().unwrap_or(0)));
        if self.told.elapsed() >= TELL_EVERY {
            self.told = Instant::now();
            let (done, rows) = (self.bar.position(), self.bar.length().unwrap_or(0));
            let rate = u128::from(done) * 1000 / self.began.elapsed().as_millis().max(1);
            info!(
                covered_from = reached,
                raw_rows.done = done,
                raw_rows.left = rows - done,
                rows_per_second = rate,
                left_seconds = u128::from(rows - done).checked_div(rate),
                "history is being covered"
            );
        }
        self.bar.set_message(reached);
    }
}

fn print(arguments: &Arguments, summary: Summary, out: &mut Output) -> anyhow::Result<()> {
    if arguments.json {
        out.json(&summary)?;
    } else if summary.slices == 0 {
        out.line(format_args!("Nothing to do: {} covered.", history(arguments)))?;
    } else {
        let (read, slices) = (count(summary.raw_rows, "raw row"), count(summary.slices, "slice"));
        let written = count(summary.rows_written, "rollup row");
        let mut done = history(arguments);
        done.replace_range(..1, &done[..1].to_uppercase());
        out.line(format_args!("{done} covered: {read} in {slices}, {written}."))?;
    }
    Ok(())
}

fn history(arguments: &Arguments) -> String {
    arguments.since.map_or_else(|| "all history is".to_owned(), |day| format!("all days from {day} on are"))
}

fn print_plan(arguments: &Arguments, plan: &Plan, out: &mut Output) -> anyhow::Result<()> {
    if plan.slices.is_empty() {
        out.line(format_args!("Nothing to do: {} covered.", history(arguments)))?;
        return Ok(());
    }
    let rows = plan.rollups.iter().map(|r| [r.name.clone(), thousands(r.days), thousands(r.raw_rows)]);
    out.line(table(["rollup", "days with usage to cover", "raw rows on them"], rows, 1))?;
    let (slices, raw_rows) = (count(plan.slices.len(), "slice"), count(plan.raw_rows, "raw row"));
    out.line(format_args!("\nWould cover {raw_rows} in {slices}."))?;
    if let (Some(pace), Some(seconds)) = (plan.pace, plan.seconds_estimated) {
        let time = SignedDuration::from_secs(i64::try_from(seconds)?);
        let rate = thousands(pace.rows_per_second);
        out.line(match pace.basis {
            Basis::LastSlices => format!("It takes about {time:#}: the last slices went at {rate} raw rows a second."),
            Basis::Sample => format!(
                "It takes at least about {time:#}: a sample was summed at {rate} raw rows a second, without writing anything."
            ),
        })?;
    }
    out.line("Nothing was changed.")?;
    Ok(())
}
