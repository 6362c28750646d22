//! `tallybook backfill`: covers the history that the rollups do not hold yet.
use super::Outcome;
use super::output::{Output, count};
use crate::rollup::backfill::{self, Slice, Summary};
use crate::rollup::status::{self, Status};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use sqlx::PgPool;

const AFTER_HELP: &str = "\
Reads are exact before, during and after: days that are not covered are read from the raw rows. `tallybook serve` covers history by itself, slowly; this does it at once. It goes from the newest day to the oldest, each slice in a transaction of its own: it can be stopped at any time and goes on where it was.";

/// Cover the history that the rollups do not hold yet.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// Raw rows that one slice reads at most; whole days all the same.
    #[arg(long, value_name = "N", default_value_t = backfill::SLICE_ROWS, value_parser = clap::value_parser!(i64).range(1..))]
    slice_rows: i64,
    /// Answer with a JSON object: `slices` and `rows_written`.
    #[arg(long)]
    json: bool,
}

/// Covers all history and shows how far it is.
pub(super) async fn run(arguments: &Arguments, pool: &PgPool, out: &mut Output) -> anyhow::Result<Outcome> {
    let left = match start(&status::status(pool).await?) {
        Start::Covered => 0,
        Start::Before(end) => backfill::rows_left(pool, end).await?,
    };
    let left = u64::try_from(left)?;
    let step = u64::try_from(arguments.slice_rows)?;
    let bar = ProgressBar::new(left).with_style(ProgressStyle::with_template(
        "{bar:30} {percent:>3} % of {human_len} raw rows, {per_sec}, {eta} left, covered from {msg}",
    )?);
    let summary = backfill::run(pool, arguments.slice_rows, |slice| {
        bar.set_message(reached(slice));
        // A slice holds whole days and may be more than its limit; the last one makes up for it.
        bar.set_position(bar.position().saturating_add(step).min(left));
    })
    .await?;
    bar.finish_and_clear();
    print(arguments, summary, left, out)?;
    Ok(Outcome::Done)
}

fn print(arguments: &Arguments, summary: Summary, raw_rows: u64, out: &mut Output) -> anyhow::Result<()> {
    if arguments.json {
        out.json(&summary)?;
    } else if summary.slices == 0 {
        out.line("Nothing to do: all history is covered.")?;
    } else {
        let (read, slices) = (count(raw_rows, "raw row"), count(summary.slices, "slice"));
        let written = count(summary.rows_written, "rollup row");
        out.line(format_args!("All history is covered: {read} in {slices}, {written}."))?;
    }
    Ok(())
}

/// Where a run begins.
enum Start {
    /// Nothing is left to cover.
    Covered,
    /// Everything before this is left; none: everything.
    Before(Option<Timestamp>),
}

fn start(status: &Status) -> Start {
    if status.rollups.iter().any(|r| r.uncovered) {
        return Start::Before(None);
    }
    match status.rollups.iter().filter_map(|r| r.covered_from).max() {
        None => Start::Covered,
        end => Start::Before(end),
    }
}

fn reached(slice: &Slice) -> String {
    slice.covered_from.map_or_else(|| "the beginning".to_owned(), |from| format!("{from:.0}"))
}
