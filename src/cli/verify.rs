//! `tallybook verify`: compares what is shown with the raw rows, to the token.
use super::Outcome;
use super::output::{Output, printable, table, thousands};
use crate::rollup::verify::{self, Drift, Report};
use serde_json::{Value, json};
use sqlx::PgPool;

/// Differing keys that are printed of each rollup; the report in JSON names more.
const KEYS_SHOWN: usize = 20;

const AFTER_HELP: &str = "\
Every rollup's now-view is compared with the sums of all raw usage rows, both ways, in one snapshot; there is no tolerance. It reads all raw rows, blocks nobody, and may run at any time.

Exit codes:
  0  exact
  1  drift: the differing keys are listed; `tallybook repair` rebuilds their days
  2  could not check";

/// Prove that the rollups equal the raw rows.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// Answer with a JSON object: `exact`, `as_of`, and the keys and the drift of each of the `rollups`.
    #[arg(long)]
    json: bool,
}

/// Verifies, and prints what differs.
pub(super) async fn run(arguments: &Arguments, pool: &PgPool, out: &mut Output) -> anyhow::Result<Outcome> {
    let report = verify::verify(pool).await?;
    if arguments.json {
        out.json(&document(&report))?;
    } else {
        print(&report, out)?;
        out.line(if report.exact() { "Exact." } else { "Drift: `tallybook repair` rebuilds the days above." })?;
    }
    Ok(outcome(&report))
}

/// What the report comes to.
pub(super) fn outcome(report: &Report) -> Outcome {
    if report.exact() { Outcome::Done } else { Outcome::Negative }
}

/// The report with its verdict, as JSON.
pub(super) fn document(report: &Report) -> Value {
    json!({ "exact": report.exact(), "as_of": report.as_of, "rollups": report.rollups })
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
