//! `tallybook verify`: compares what is shown with the raw rows, to the token.
use super::Outcome;
use super::days::{self, Days};
use super::output::{Output, count, printable, table, thousands};
use crate::db::pool::PgPool;
use crate::rollup::verify::cause::{self, Cause, Certainty};
use crate::rollup::verify::{self, Drift, Report, Sample, Sampled, Scope, sample};
use serde_json::{Value, json};

/// Differing keys that are printed of each rollup; the report in JSON names more.
const KEYS_SHOWN: usize = 20;

const AFTER_HELP: &str = "\
Every rollup's now-view is compared with the sums of the raw usage rows, both ways, in slices of whole UTC days, each in one snapshot; there is no tolerance. It blocks nobody and may run at any time. Where there is drift, it looks for causes.

A sample is made of days drawn at random from those on which there is usage or a row of any rollup. It proves those days, and nothing of the others. The same seed draws the same days.

Exit codes:
  0  exact
  1  drift: the differing keys are listed; `tallybook repair` rebuilds their days
  2  could not check

Examples:
  tallybook verify                                         all history
  tallybook verify --since 2026-01-01 --until 2026-01-31   January
  tallybook verify --sample 5%                             some days, for a scheduler";

/// Prove that the rollups equal the raw rows.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    #[command(flatten)]
    days: Days,
    /// Verify only so many days, or so many of a hundred, drawn at random.
    #[arg(long, value_name = "N|PERCENT%")]
    sample: Option<sample::Size>,
    /// What decides which days are drawn [default: chance].
    #[arg(long, value_name = "N", requires = "sample")]
    seed: Option<u32>,
    /// Answer with a JSON object: `exact`, `as_of`, the `sample`, the keys and the drift of each of the `rollups`, and the `causes` of drift.
    #[arg(long)]
    json: bool,
}

/// Verifies, and prints what differs.
pub(super) async fn run(arguments: &Arguments, pool: &PgPool, out: &mut Output) -> anyhow::Result<Outcome> {
    let scope = Scope {
        range: arguments.days.range()?,
        sample: arguments.sample.map(|size| Sample { size, seed: arguments.seed.unwrap_or_else(rand::random) }),
        ..Scope::default()
    };
    let report = check(pool, &scope).await?;
    let causes = cause::causes(pool, &report).await?;
    if arguments.json {
        let mut document = document(&report);
        document["causes"] = json!(causes);
        out.json(&document)?;
    } else {
        print(&report, out)?;
        print_causes(&causes, out)?;
        out.line(verdict(&report, &arguments.days))?;
    }
    Ok(outcome(&report))
}

/// Verifies, and shows how far it is.
pub(super) async fn check(pool: &PgPool, scope: &Scope) -> anyhow::Result<Report> {
    let plan = verify::plan(pool, scope).await?;
    let bar = days::bar(plan.slices.len(), "slices of days compared")?;
    let report = verify::check(pool, &plan, |_| bar.inc(1)).await?;
    bar.finish_and_clear();
    Ok(report)
}

/// What the report comes to.
pub(super) fn outcome(report: &Report) -> Outcome {
    if report.exact() { Outcome::Done } else { Outcome::Negative }
}

/// The report with its verdict, as JSON.
pub(super) fn document(report: &Report) -> Value {
    let mut document = json!(report);
    document["exact"] = json!(report.exact());
    document
}

/// The verdict, and of what it is.
fn verdict(report: &Report, days: &Days) -> String {
    let of = match &report.sample {
        Some(Sampled { seed, days: drawn, of_days }) => {
            let of_days = count(*of_days, "day");
            format!(" on {} of {of_days}{}, drawn with seed {seed}", thousands(drawn.len()), days.in_words())
        }
        None => days.in_words(),
    };
    match (report.exact(), &report.sample) {
        (true, None) => format!("Exact{of}."),
        (true, Some(_)) => format!("Exact{of}; this says nothing of the others."),
        (false, _) => format!("Drift{of}: `tallybook repair` rebuilds the days above."),
    }
}

/// Prints the figures of each rollup, and the first of the keys that differ.
pub(super) fn print(report: &Report, out: &mut Output) -> anyhow::Result<()> {
    let rows = report.rollups.iter().map(|r| {
        let days = r.drifted_days.len();
        [r.name.clone(), thousands(r.keys), thousands(r.drifted_keys), thousands(days)]
    });
    out.line(table(["rollup", "keys compared", "keys differing", "days differing"], rows, 1))?;
    for rollup in report.rollups.iter().filter(|r| r.drifted_keys > 0) {
        out.line(format_args!("\n{}:", rollup.name))?;
        for drift in rollup.drift.iter().take(KEYS_SHOWN) {
            out.line(format_args!("  {}", printable(&differences(drift))))?;
        }
        let shown = i64::try_from(rollup.drift.len().min(KEYS_SHOWN))?;
        if rollup.drifted_keys > shown {
            out.line(format_args!("  and {} more", thousands(rollup.drifted_keys - shown)))?;
        }
    }
    Ok(())
}

fn print_causes(causes: &[Cause], out: &mut Output) -> anyhow::Result<()> {
    if !causes.is_empty() {
        out.line("\nWhat may have led to it:")?;
        for Cause { certainty, what } in causes {
            let certainty = match certainty {
                Certainty::Found => "found",
                Certainty::Suspected => "suspected",
            };
            out.line(format_args!("  {certainty}: {}", printable(what)))?;
        }
        out.line("")?;
    }
    Ok(())
}

/// The key, and each measure that differs: what is shown, and what raw says.
fn differences(drift: &Drift) -> String {
    let key = fields(&drift.key).map(|(name, value)| format!("{name}={}", plain(value))).collect::<Vec<_>>().join(" ");
    let measures = fields(&drift.shown).filter_map(|(name, shown)| {
        let raw = drift.raw.get(name).unwrap_or(&Value::Null);
        (raw != shown).then(|| format!("{name} shows {} and is {}", plain(shown), plain(raw)))
    });
    format!("{key}: {}", measures.collect::<Vec<_>>().join(", "))
}

fn fields(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}
