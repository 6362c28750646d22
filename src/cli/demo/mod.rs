//! `tallybook demo`: the service with a simulated fleet that reports to it.
use super::output::{Output, count};
use super::signals::Stops;
use super::{Context, Outcome, failure, time, usage, verify};
use crate::config::{Options, Place};
use crate::demo::{Demo, Pace, Settings, WORKSPACE};
use crate::embedded;
use crate::model::range::{Days, Range, Zone};
use crate::query::Reading;
use crate::query::summary::{self, Dimension, Question};
use crate::rollup;
use crate::service;
use live::Live;
use std::net::SocketAddr;
use std::time::Duration;

mod live;

/// Days that the table at the end shows: the fleet reports up to twenty days late.
const DAYS_SHOWN: u16 = 30;

const AFTER_HELP: &str = "\
The fleet reports through the HTTP API, as a careless world does: corrected, late, twice, out of order, for tasks that move, are archived and are purged. A live summary shows what comes of it. A second start keeps the data and goes on.

Data are kept apart from those of `tallybook serve`: without --data-dir in a directory beside its own, whose name ends in -demo. A database that holds anything that no demo made is refused.

SIGINT and SIGTERM stop it in order. With --run-for it ends by itself with a usage table and a verification.

Exit codes:
  0    stopped; with --run-for: exact, and the service took all that the fleet sent
  1    with --run-for: drift, or something was refused
  2    could not be done; the reason is on standard error
  130  stopped before --run-for was over

Examples:
  tallybook demo
  tallybook demo --run-for 20s --reports-per-second 500
  tallybook demo --listen 127.0.0.1:9000";

/// Try it out: start the service with a simulated fleet that reports to it.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// End after this time, such as 20s or 2m, with a usage table and a verification [default: run until stopped].
    #[arg(long, env = "TALLYBOOK_RUN_FOR", hide_env_values = true, value_name = "TIME", value_parser = time::some)]
    run_for: Option<Duration>,
    /// Reports that the fleet sends a second, or as many as it manages.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=i64::from(Pace::MAX)))]
    reports_per_second: u32,
    /// What the fleet's decisions are drawn from: the same seed, the same deeds.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Address to listen on, of this machine only; port 0 takes a free one.
    #[arg(long, env = "TALLYBOOK_LISTEN", hide_env_values = true, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
}

/// Gives the demo a data directory of its own where nobody names one.
pub(super) fn choose_data_dir(options: &mut Options) {
    if options.data_dir.as_ref().is_none_or(|dir| dir.is_empty()) {
        let mut dir = embedded::default_data_dir().into_os_string();
        dir.push("-demo");
        options.data_dir = Some(dir);
    }
}

/// Runs the demo until a signal, the time or a failure ends it.
pub(super) async fn run(arguments: Arguments, context: &mut Context) -> anyhow::Result<Outcome> {
    let place = context.config.database.clone();
    let mut stops = Stops::listen()?;
    context.out.line(format_args!("Starting Tallybook on {place} ..."))?;
    context.out.finish()?;
    let settings = Settings {
        service: service::Settings { clock: context.clock.clone(), ..service::Settings::new(place.clone(), arguments.listen) },
        pace: Pace::new(arguments.reports_per_second),
        seed: arguments.seed,
    };
    let mut demo = tokio::select! {
        started = Box::pin(Demo::start(settings)) => started?,
        () = stops.next() => return Ok(Outcome::Interrupted),
    };
    let outcome = match announce(&demo, &place, &mut context.out) {
        Ok(()) => Box::pin(watch(&mut demo, arguments.run_for, &mut stops, context)).await,
        Err(error) => Err(error),
    };
    let stopped = tokio::select! {
        stopped = Box::pin(demo.stop()) => stopped.map_err(Into::into),
        () = stops.next() => Err(failure::cut_off()),
    };
    let outcome = failure::both(outcome.map_err(|error| failure::locate(error, &place)), stopped)?;
    context.out.line("Stopped. The data stay: the next start goes on with them.")?;
    Ok(outcome)
}

/// Where to look, and how to sign in.
fn announce(demo: &Demo, place: &Place, out: &mut Output) -> anyhow::Result<()> {
    let base = format!("http://{}", demo.address());
    let example = format!("{base}/v1/runtimes/{}/usage?days=7", Demo::example_runtime());
    let token = match demo.token_path() {
        Some(path) => format!("$(cat {})", shlex::try_quote(&path.to_string_lossy())?),
        None => "$TOKEN".to_owned(),
    };
    out.line("\nA simulated fleet reports through the HTTP API.\n")?;
    out.line(format_args!("  Look around   {base}/docs"))?;
    match demo.token_path() {
        Some(path) => out.line(format_args!("  Sign in with  the admin token in {}", path.display()))?,
        None => out.line("  Sign in with  TOKEN=$(tallybook token create --name me --scope read --all-workspaces)")?,
    }
    out.line(format_args!("  Ask           curl -H \"Authorization: Bearer {token}\" \\\n                  '{example}'"))?;
    match place {
        Place::Private(dir) => {
            out.line(format_args!("  Or            tallybook usage --data-dir {}", shlex::try_quote(&dir.to_string_lossy())?))?;
        }
        Place::Url(_) => out.line("  Or            tallybook usage")?,
    }
    out.line("  Stop          Ctrl-C\n")?;
    // Whoever started it and waits for these lines may read them through a pipe.
    out.finish()?;
    Ok(())
}

/// Shows what happens until it ends; then, if it came to its own end, what has come of it.
async fn watch(demo: &mut Demo, run_for: Option<Duration>, stops: &mut Stops, context: &mut Context) -> anyhow::Result<Outcome> {
    let mut live = Live::new(run_for);
    let over = async {
        match run_for {
            Some(time) => tokio::time::sleep(time).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(over);
    loop {
        tokio::select! {
            () = &mut over => break,
            () = stops.next() => {
                live.end(&mut context.out)?;
                return Ok(if run_for.is_some() { Outcome::Interrupted } else { Outcome::Done });
            }
            error = demo.failed() => {
                live.end(&mut context.out)?;
                return Err(error.into());
            }
            () = live.next() => live.show(demo, &mut context.out).await?,
        }
    }
    live.end(&mut context.out)?;
    tokio::select! {
        outcome = conclude(demo, context) => outcome,
        () = stops.next() => Ok(Outcome::Interrupted),
    }
}

/// The usage table and the verification, once the fleet rests.
async fn conclude(demo: &Demo, context: &mut Context) -> anyhow::Result<Outcome> {
    demo.rest().await;
    let out = &mut context.out;
    let counts = demo.counts();
    out.line(format_args!(
        "The fleet rests after {}. What was used, by runtime and model:\n",
        count(counts.reports(), "report")
    ))?;
    let range = Range::last(Days::new(DAYS_SHOWN)?, &Zone::utc(), context.clock.now())?;
    let by = [Dimension::Runtime, Dimension::Model].into();
    let question = Question { range, workspace: Some(WORKSPACE), runtime: None, by };
    usage::print(&summary::summary(demo.pool(), Reading::Rollups, &question).await?, &question.by, out)?;
    out.line("\nIs it so? Every rollup compared with the sums of the raw rows:\n")?;
    // Whoever watches sees the table while the raw rows are read.
    out.finish()?;
    let report = rollup::verify::verify(demo.pool()).await?;
    verify::print(&report, out)?;
    out.line(if report.exact() { "Exact." } else { "Drift: the rollups differ from the raw rows." })?;
    if let Some(reason) = &counts.last_refusal {
        out.line(format_args!(
            "The service refused {} of the fleet's, the last one so: {reason}",
            count(counts.refused, "request")
        ))?;
    }
    let well = report.exact() && counts.refused == 0 && counts.reports() > 0;
    Ok(if well { Outcome::Done } else { Outcome::Negative })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_are_kept_apart_unless_somebody_says_where() {
        use clap::{Args, Command, FromArgMatches};
        for (arguments, ends) in
            [(vec!["t"], "-demo"), (vec!["t", "--data-dir="], "-demo"), (vec!["t", "--data-dir=/data/mine"], "mine")]
        {
            let matches =
                Options::augment_args(Command::new("t")).mut_arg("data_dir", |a| a.env(None::<&str>)).get_matches_from(arguments);
            let mut options = Options::from_arg_matches(&matches).unwrap();
            choose_data_dir(&mut options);
            let chosen = options.data_dir.unwrap().into_string().unwrap();
            assert!(chosen.ends_with(ends), "{chosen}");
        }
    }
}
