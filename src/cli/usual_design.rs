//! `tallybook adopt usual-design`: moving over from a rollup that has a watermark, a dirty queue and a cron job.
use super::Outcome;
use super::output::{Output, count, printable, table, thousands};
use crate::audit::Actor;
use crate::db::pool::PgPool;
use crate::moving::{self, Comparison, Difference, Kind, Remains, Scheduler, UsualDesign};
use crate::schedule::pg_cron;
use serde_json::{Value, json};

const HELP: &str = "\
The steps, each of which can be taken back until the last one:
  tallybook adopt usual-design report      what is there, and where its numbers are wrong
  tallybook adopt usual-design switch      its job is disabled, Tallybook folds
  tallybook adopt usual-design back        as it was before
  tallybook adopt usual-design drop-old    its objects go, with --yes";

const REPORT_HELP: &str = "\
Compares every sum of public.task_usage_daily with the raw rows, by UTC day, both ways, and changes nothing. Usage since its watermark may still be to come; all else it never corrects.

Exit codes:
  0  its table equals the raw rows
  1  it differs
  2  could not find out, or there is no such table";

const SWITCH_HELP: &str = "\
In one transaction the old job of pg_cron is disabled and Tallybook's is scheduled; where there was no job, the loop of `tallybook serve` folds. Another scheduler of the old tick has to be stopped by hand, and the application's reads have to be pointed at tallybook.task_usage_daily_now. The old objects stay, and its triggers go on queueing, so that `back` finds all as it was.";

/// Move over from the usual design: its report, the switch, and the way back.
#[derive(Debug, clap::Subcommand)]
#[command(after_help = HELP)]
pub(super) enum Command {
    /// Say what is there, and in which keys its table differs from the raw rows.
    #[command(after_help = REPORT_HELP)]
    Report(Report),
    /// Disable its job, and fold instead.
    #[command(after_help = SWITCH_HELP)]
    Switch(Switch),
    /// Enable its job again, and take ours away.
    Back,
    /// Drop its objects and jobs, after the switch.
    DropOld(DropOld),
}

/// How to report.
#[derive(Debug, clap::Args)]
pub(super) struct Report {
    /// Differing keys to name; all are counted.
    #[arg(long, value_name = "N", default_value_t = 50)]
    keys: usize,
    /// Answer with a JSON object: `exact`, the `design` and the `comparison`.
    #[arg(long)]
    json: bool,
}

/// Who folds.
#[derive(Debug, clap::Args)]
pub(super) struct Switch {
    /// Who folds from now on [default: pg-cron where an old job ran, else the loop].
    #[arg(long, value_name = "SCHEDULER", value_enum)]
    to: Option<Scheduler>,
    /// When pg_cron folds, as cron writes it.
    #[arg(long, value_name = "SCHEDULE", default_value = pg_cron::EVERY)]
    every: String,
}

/// Whether to do it.
#[derive(Debug, clap::Args)]
pub(super) struct DropOld {
    /// Drop what is listed; without it nothing is.
    #[arg(long)]
    yes: bool,
}

/// Does what was asked.
pub(super) async fn run(command: Command, pool: &PgPool, out: &mut Output) -> anyhow::Result<Outcome> {
    match command {
        Command::Report(report) => show(&report, pool, out).await,
        Command::Switch(switch) => {
            let done = moving::switch(pool, switch.to, &switch.every).await?;
            if done.already {
                out.line("Nothing to do: the schedule was switched over before.")?;
            }
            for job in &done.disabled {
                out.line(format_args!("disabled job {}: {} at {:?}", job.job_id, printable(&job.command), job.schedule))?;
            }
            out.line(match done.scheduler {
                Scheduler::PgCron => "Tallybook folds by a job of pg_cron; `tallybook schedule pg-cron status` shows it.",
                Scheduler::Loop => "Tallybook folds by the loop of `tallybook serve`; stop what else called the old tick.",
            })?;
            Ok(Outcome::Done)
        }
        Command::Back => {
            for job in moving::back(pool).await? {
                out.line(format_args!("enabled job {}: {} at {:?}", job.job_id, printable(&job.command), job.schedule))?;
            }
            out.line("The usual design is in charge again.")?;
            Ok(Outcome::Done)
        }
        Command::DropOld(DropOld { yes: true }) => {
            print_remains("dropped", &moving::drop_old(pool, &Actor::cli()).await?, out)?;
            out.line("The usual design is gone. Raw usage and every column of it stay.")?;
            Ok(Outcome::Done)
        }
        Command::DropOld(_) => {
            print_remains("would drop", &moving::remains(pool).await?, out)?;
            out.line("Nothing was dropped; --yes does that.")?;
            Ok(Outcome::Done)
        }
    }
}

fn print_remains(verb: &str, remains: &Remains, out: &mut Output) -> anyhow::Result<()> {
    for object in &remains.objects {
        out.line(format_args!("{verb} {} {}", object.kind, printable(&object.name)))?;
    }
    for job in &remains.jobs {
        out.line(format_args!("{verb} job {} of pg_cron: {}", job.job_id, printable(&job.command)))?;
    }
    if let Some(said) = &remains.of_jobs {
        out.line(format_args!("unusual: {}", printable(said)))?;
    }
    Ok(())
}

async fn show(report: &Report, pool: &PgPool, out: &mut Output) -> anyhow::Result<Outcome> {
    let Some(design) = moving::detect(pool).await? else {
        return Err(moving::Error::NotThere("there is no table public.task_usage_daily with its key".to_owned()).into());
    };
    let comparison = moving::compare(pool, &design, report.keys).await?;
    if report.json {
        out.json(&json!({ "exact": comparison.drifted() == 0, "design": design, "comparison": comparison }))?;
    } else {
        print_design(&design, out)?;
        print_comparison(&comparison, out)?;
    }
    Ok(if comparison.drifted() == 0 { Outcome::Done } else { Outcome::Negative })
}

fn print_design(design: &UsualDesign, out: &mut Output) -> anyhow::Result<()> {
    out.line("The usual design is here:")?;
    for object in &design.objects {
        out.line(format_args!("  {} {}", object.kind, printable(&object.name)))?;
    }
    for job in &design.jobs {
        let active = if job.active { "" } else { ", disabled" };
        out.line(format_args!("  job {} of pg_cron, at {:?}{active}: {}", job.job_id, job.schedule, printable(&job.command)))?;
    }
    if design.jobs.is_empty() {
        out.line("  no job of pg_cron; whatever else calls its tick cannot be seen from here")?;
    }
    for variation in &design.variations {
        out.line(format_args!("  unusual: {variation}"))?;
    }
    if let Some(state) = &design.state {
        let at = state.watermark_at.map_or_else(|| "nowhere".to_owned(), |at| format!("{at:.0}"));
        out.line(format_args!("Its watermark is at {at}."))?;
        if let Some(error) = &state.last_error {
            out.line(format_args!("Its last tick failed: {}", printable(error)))?;
        }
    }
    if let Some(keys) = design.dirty_keys {
        out.line(format_args!("{} in its queue.", count(keys, "key")))?;
    }
    Ok(())
}

fn print_comparison(comparison: &Comparison, out: &mut Output) -> anyhow::Result<()> {
    if comparison.drifted() == 0 {
        out.line(format_args!("\nIts table equals the raw rows: {} compared.", count(comparison.keys, "key")))?;
        return Ok(());
    }
    let rows = comparison.differences.iter().map(|difference| {
        let (table, raw) = sums(difference);
        let id = |id: Option<uuid::Uuid>| id.map_or_else(|| "-".to_owned(), |id| id.to_string());
        let kind = match difference.kind {
            Kind::Missing => "missing",
            Kind::Ghost => "ghost",
            Kind::Different => "different",
        };
        let key = [
            difference.bucket_date.to_string(),
            id(difference.runtime_id),
            difference.provider.clone(),
            difference.model.clone(),
        ];
        [kind.to_owned()].into_iter().chain(key).chain([table, raw])
    });
    let header = ["", "day", "runtime", "provider", "model", "its table", "raw"];
    out.line(format_args!("\n{}", table(header, rows, 7)))?;
    let more = comparison.drifted() - i64::try_from(comparison.differences.len())?;
    if more > 0 {
        out.line(format_args!("and {} more", thousands(more)))?;
    }
    out.line(format_args!(
        "\n{} of {} differ: {} missing in its table, {} only there, {} with other sums.",
        thousands(comparison.drifted()),
        count(comparison.keys, "key"),
        thousands(comparison.missing),
        thousands(comparison.ghosts),
        thousands(comparison.different)
    ))?;
    if comparison.maybe_late > 0 {
        out.line(format_args!(
            "{} lie on days that its watermark has not passed: its next ticks may come there.",
            thousands(comparison.maybe_late)
        ))?;
    }
    Ok(())
}

/// The sums that differ, of both sides.
fn sums(difference: &Difference) -> (String, String) {
    let differing = difference.table.iter().filter(|(name, sum)| difference.raw.get(*name) != Some(*sum));
    let (table, raw): (Vec<_>, Vec<_>) = differing
        .map(|(name, sum)| {
            let raw = difference.raw.get(name).map_or(Value::Null, |sum| json!(sum));
            (format!("{name} {sum}"), format!("{name} {raw}"))
        })
        .unzip();
    (table.join(", "), raw.join(", "))
}
