//! `tallybook schedule`: who folds when no service runs, or beside it.
use super::Outcome;
use super::output::{Output, count, printable, table};
use crate::db::pool::PgPool;
use crate::schedule::files::{self, Scheduler};
use crate::schedule::pg_cron::{self, Cron, Report};
use serde_json::json;

const HELP: &str = "\
Reads are exact without any of it: folding only keeps them fast. `tallybook serve` folds by itself; all schedulers may run together.

Examples:
  tallybook schedule pg-cron install
  tallybook schedule pg-cron status
  tallybook schedule print systemd
  tallybook schedule print kubernetes --image registry.example/tallybook:1.0 | kubectl apply -f -";

const INSTALL_HELP: &str = "\
pg_cron must be there: installed, in shared_preload_libraries, and created in the database that cron.database_name says, which may be another one. What is missing is said. Running it again changes the schedule.";

const STATUS_HELP: &str = "\
Exit codes:
  0  the job is there, and its last run, if there was one, succeeded
  1  it is not there, is disabled, its last run failed, or pg_cron's scheduler does not run
  2  could not find out, or there is no pg_cron";

/// Fold by pg_cron, systemd, Kubernetes or cron.
#[derive(Debug, clap::Subcommand)]
#[command(after_help = HELP)]
pub(super) enum Command {
    /// Fold by the database's own scheduler, the extension pg_cron.
    #[command(subcommand)]
    PgCron(PgCron),
    Print(Print),
}

/// What to do with the job.
#[derive(Debug, clap::Subcommand)]
pub(super) enum PgCron {
    /// Schedule the job, and see that it is there.
    #[command(after_help = INSTALL_HELP)]
    Install(Install),
    /// Remove the job and what is written of its runs.
    Uninstall,
    /// Show the job, its last runs and failures.
    #[command(after_help = STATUS_HELP)]
    Status(Status),
}

/// How often.
#[derive(Debug, clap::Args)]
pub(super) struct Install {
    /// When to fold, as cron writes it.
    #[arg(long, value_name = "SCHEDULE", default_value = pg_cron::EVERY)]
    every: String,
}

/// How to show it.
#[derive(Debug, clap::Args)]
pub(super) struct Status {
    /// Answer with a JSON object: `well`, `faults`, whether the scheduler `is_running`, the `job`, its `runs`, and how many failed in a day.
    #[arg(long)]
    json: bool,
}

/// Print files for another scheduler.
#[derive(Debug, clap::Args)]
pub(super) struct Print {
    /// Which one.
    #[arg(value_enum)]
    scheduler: Scheduler,
    /// Where the program is.
    #[arg(long, value_name = "PATH", default_value = files::BINARY)]
    binary: String,
    /// The container image.
    #[arg(long, value_name = "IMAGE", default_value = files::IMAGE)]
    image: String,
}

/// Prints the files, each under a line with its path.
pub(super) fn print(print: &Print, out: &mut Output) -> anyhow::Result<Outcome> {
    for (index, file) in files::files(print.scheduler, &print.binary, &print.image).iter().enumerate() {
        let space = if index == 0 { "" } else { "\n" };
        out.line(format_args!("{space}# {}\n{}", file.path, file.text.trim_end()))?;
    }
    Ok(Outcome::Done)
}

/// Does what was asked with pg_cron.
pub(super) async fn run(command: PgCron, pool: &PgPool, out: &mut Output) -> anyhow::Result<Outcome> {
    match command {
        PgCron::Install(Install { every }) => {
            let job = Cron::open(pool).await?.install(&every).await?;
            out.line(format_args!("Job {} {:?} runs at {:?} as {}.", job.job_id, job.name, job.schedule, job.role))?;
        }
        PgCron::Uninstall => {
            let removed = Cron::reach(pool).await?.uninstall().await?;
            out.line(if removed {
                "The job is removed, and what was written of its runs."
            } else {
                "Nothing to do: no job is installed."
            })?;
        }
        PgCron::Status(status) => return show(&status, &pg_cron::report(&mut Cron::reach(pool).await?).await?, out),
    }
    Ok(Outcome::Done)
}

fn show(status: &Status, report: &Report, out: &mut Output) -> anyhow::Result<Outcome> {
    let faults = report.faults();
    if status.json {
        let mut document = json!(report);
        document["faults"] = json!(faults);
        document["well"] = json!(faults.is_empty());
        out.json(&document)?;
    } else {
        if let Some(job) = &report.job {
            out.line(format_args!(
                "Job {} {:?} in {}: {:?} as {}",
                job.job_id, job.name, report.works_in, job.schedule, job.role
            ))?;
        }
        if report.runs.is_empty() {
            out.line("It has not run yet (or cron.log_run is off).")?;
        } else {
            let rows = report.runs.iter().map(|run| {
                let at = run.started_at.map_or_else(|| "-".to_owned(), |at| format!("{at:.0}"));
                [at, run.status.clone(), run.reason().unwrap_or_default().to_owned()]
            });
            out.line(table(["started", "status", "message"], rows, 3))?;
            let (runs, failures) = (count(report.runs_in_a_day, "run"), count(report.failures_in_a_day, "failure"));
            out.line(format_args!("\n{runs} in the last day, {failures}."))?;
        }
        for fault in &faults {
            out.line(format_args!("FAULT: {}", printable(fault)))?;
        }
    }
    Ok(if faults.is_empty() { Outcome::Done } else { Outcome::Negative })
}
