//! `tallybook bench`: measures beside what one would have instead, in databases of its own.
use super::output::{Output, count, table};
use super::signals::Stops;
use super::{Context, Outcome, failure};
use crate::bench::plan::{Plan, Subject};
use crate::bench::{Bench, Results, report};
use crate::config::Place;
use crate::db::{database, pool};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

const AFTER_HELP: &str = "\
It makes databases of its own (tallybook_bench_...) on the server of --database-url, whose role needs CREATEDB, and drops them at the end, also when it is interrupted; those of a run that was killed go at the next start. It reads and writes no other. Let nothing else run on the machine: contenders take turns, but noise remains. In full it takes about an hour and a half on two cores, and 40 GB of disk.

With --output it writes BENCHMARKS.md there, and in benchmarks/ the plots and results.json, from which all of it is drawn.

Exit codes:
  0    measured; nothing that must be exact differs
  1    measured, and a row of Tallybook's differs, or an acknowledged report is missing
  2    could not be done; the reason is on standard error
  130  interrupted

Examples:
  tallybook bench --output docs
  tallybook bench --sizes 100000,1000000 --only reads,ticks
  tallybook bench --quick";

/// Fewest rows of a history: below, not every kind of write finds rows of its own.
const ROWS_MIN: u64 = 600;
/// Most rows: a month of patience.
const ROWS_MAX: u64 = 1_000_000_000;

/// Measure what exactness costs and saves, beside other designs.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// Rows of history to measure on, several with commas between them [default: 100000,1000000,2000000,10000000].
    #[arg(long, value_name = "ROWS", value_delimiter = ',', value_parser = clap::value_parser!(u64).range(ROWS_MIN..=ROWS_MAX))]
    sizes: Option<Vec<u64>>,
    /// Measure only this, several with commas between them [default: everything].
    #[arg(long, value_name = "SUBJECT", value_delimiter = ',')]
    only: Vec<Subject>,
    /// Only see that the suite works, on little data, in two minutes: the figures mean nothing.
    #[arg(long)]
    quick: bool,
    /// Directory to write the document into [default: only what is wanted of each figure is printed].
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Commit that the document names.
    #[arg(long, value_name = "COMMIT", default_value = "unknown")]
    commit: String,
}

/// Measures, and prints what was wanted and what is.
pub(super) async fn run(arguments: Arguments, context: &mut Context) -> anyhow::Result<Outcome> {
    let Place::Url(address) = &context.config.database else {
        anyhow::bail!("the bench makes databases on a server: name one with --database-url or DATABASE_URL");
    };
    let mut stops = Stops::listen()?;
    let pool = pool::lazy(address.options.clone(), address.direct.clone(), 1);
    database::knock(&context.config.database, &pool).await?;
    let server = pool.session_options().await??;
    pool.close().await;
    let plan = Plan::new(arguments.quick, arguments.sizes, arguments.only);
    let bench = Bench::start(server, &plan, &tell).await?;
    let results = tokio::select! {
        results = Box::pin(bench.run(arguments.commit)) => Some(results),
        () = stops.next() => None,
    };
    let ended = bench.end().await;
    // They took long: a database that cannot be dropped does not cost them.
    let outcome = match results {
        Some(results) => {
            results.map_err(Into::into).and_then(|results| show(&results, arguments.output.as_deref(), &mut context.out))
        }
        None => Ok(Outcome::Interrupted),
    };
    failure::both(outcome, ended)
}

/// Writes the document, where one is wanted, and prints what was wanted and what is.
fn show(results: &Results, directory: Option<&Path>, out: &mut Output) -> anyhow::Result<Outcome> {
    if let Some(directory) = directory {
        write(results, directory)?;
        out.line(format_args!("Written: {}", directory.join("BENCHMARKS.md").display()))?;
    }
    print(results, out)
}

/// How far it is goes to standard error: results go to standard output. Who does not read it misses nothing.
fn tell(step: &str) {
    drop(writeln!(io::stderr(), "{step}"));
}

fn write(results: &Results, directory: &Path) -> anyhow::Result<()> {
    for (path, text) in report::files(results)? {
        let path = directory.join(path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(path, text)?;
    }
    Ok(())
}

fn print(results: &Results, out: &mut Output) -> anyhow::Result<Outcome> {
    out.line(table(["what", "wanted", "measured", "held"], report::verdicts(results), usize::MAX))?;
    let faults: Vec<&str> = results.faults().collect();
    for fault in &faults {
        out.line(format_args!("wrong: {fault}"))?;
    }
    if faults.is_empty() {
        out.line("\nNothing that must be exact differs.")?;
        return Ok(Outcome::Done);
    }
    out.line(format_args!("\n{} that must never be.", count(faults.len(), "thing")))?;
    Ok(Outcome::Negative)
}
