//! `tallybook fold`: folds until nothing is pending.
use super::Outcome;
use super::output::{Output, count};
use crate::db::pool::PgPool;
use crate::rollup::fold;
use serde_json::json;

const AFTER_HELP: &str = "\
Reads are exact without it: folding only keeps them fast. `tallybook serve` folds about every second; this is for schedulers, and for the moment before a maintenance window.";

/// Fold what is pending into the rollups.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// Answer with a JSON object: `rows`, the number of rollup rows touched.
    #[arg(long)]
    json: bool,
}

/// Folds, and prints how many rollup rows were touched.
pub(super) async fn run(arguments: &Arguments, pool: &PgPool, out: &mut Output) -> anyhow::Result<Outcome> {
    let rows = fold::drain(pool).await?;
    match (arguments.json, rows) {
        (true, _) => out.json(&json!({ "rows": rows }))?,
        (false, 0) => out.line("Nothing was pending.")?,
        (false, _) => out.line(format_args!("Folded: {} touched.", count(rows, "rollup row")))?,
    }
    Ok(Outcome::Done)
}
