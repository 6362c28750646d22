//! `tallybook usage`: what was used, as a table, JSON or CSV.
use super::output::{Output, table, thousands};
use super::reads::Reads;
use super::{Outcome, entity};
use crate::clock::Clock;
use crate::db::pool::PgPool;
use crate::model::range::{Days, Range, Zone};
use crate::query::Measures;
use crate::query::summary::{self, Dimension, Item, Question, Summary};
use std::collections::BTreeSet;
use std::io;
use uuid::Uuid;

const AFTER_HELP: &str = "\
The figures are exact: they equal the sums of the raw usage rows at this very moment. Days are UTC days; --days N is exactly N of them, today included. Cost is what providers named as their price; `-` where they named none.

Examples:
  tallybook usage --days 7
  tallybook usage --workspace acme --by runtime,model
  tallybook usage --runtime laptop --days 90 --json
  tallybook usage --days 365 --by day --csv > usage.csv";

/// Show what was used, by day, provider and model.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// Days to show, today included.
    #[arg(long, value_name = "N", default_value = "30")]
    days: Days,
    /// One workspace only, by id, slug or name.
    #[arg(long, value_name = "WORKSPACE")]
    workspace: Option<String>,
    /// One runtime only, by id or name.
    #[arg(long, value_name = "RUNTIME")]
    runtime: Option<String>,
    /// What to tell apart; several by commas.
    #[arg(long, value_name = "WHAT", value_enum, value_delimiter = ',', default_value = "day,provider,model")]
    by: Vec<Dimension>,
    #[command(flatten)]
    reads: Reads,
    /// Answer with a JSON object: `items`, `total`, and `as_of` when.
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Answer with CSV, a header first.
    #[arg(long)]
    csv: bool,
}

/// Reads the usage and prints it.
pub(super) async fn run(arguments: Arguments, pool: &PgPool, clock: &Clock, out: &mut Output) -> anyhow::Result<Outcome> {
    let range = Range::last(arguments.days, &Zone::utc(), clock.now())?;
    let workspace = match &arguments.workspace {
        Some(word) => Some(entity::workspace(pool, word).await?),
        None => None,
    };
    let runtime = match &arguments.runtime {
        Some(word) => Some(entity::runtime(pool, workspace, word).await?),
        None => None,
    };
    let reading = arguments.reads.reading();
    let question = Question { range, workspace, runtime, by: arguments.by.into_iter().collect() };
    let summary = summary::summary(pool, reading, &question).await?;
    if arguments.json {
        out.json(&summary)?;
    } else if arguments.csv {
        out.attempt(|writer| csv(&summary, &question.by, writer))?;
    } else {
        print(&summary, &question.by, out)?;
    }
    Ok(Outcome::Done)
}

/// Prints the table.
pub(super) fn print(summary: &Summary, by: &BTreeSet<Dimension>, out: &mut Output) -> anyhow::Result<()> {
    let Range { from, to, .. } = &summary.range;
    if summary.items.is_empty() {
        out.line(format_args!("No usage from {from} to {to} (UTC days)."))?;
        return Ok(());
    }
    let keys = by.iter().map(|dimension| title(*dimension));
    let header = keys.chain(["input", "output", "cache read", "cache write", "cost USD", "unpriced tokens", "events"]);
    let line = |item: &Item| by.iter().map(|d| word(item, *d)).chain(figures(&item.usage)).collect::<Vec<_>>();
    let named = by.iter().enumerate().map(|(index, _)| if index == 0 { "total" } else { "" }.to_owned());
    let total = named.chain(figures(&summary.total)).collect();
    out.line(table(header, summary.items.iter().map(line).chain([total]), by.len()))?;
    out.line(format_args!("\n{from} to {to} (UTC days), exact as of {:.0}", summary.as_of.timestamp()))?;
    Ok(())
}

fn title(dimension: Dimension) -> &'static str {
    match dimension {
        Dimension::Day => "day",
        Dimension::Workspace => "workspace",
        Dimension::Runtime => "runtime",
        Dimension::Provider => "provider",
        Dimension::Model => "model",
    }
}

/// The key as people know it: a name where there is one.
fn word(item: &Item, dimension: Dimension) -> String {
    let named = |name: &Option<String>, id: Option<Uuid>| name.clone().or_else(|| id.map(|id| id.to_string()));
    match dimension {
        Dimension::Day => item.date.map(|date| date.to_string()).unwrap_or_default(),
        Dimension::Workspace => named(&item.workspace_name, item.workspace_id).unwrap_or_default(),
        Dimension::Runtime => named(&item.runtime_name, item.runtime_id).unwrap_or_else(|| "(unattributed)".to_owned()),
        Dimension::Provider => item.provider.clone().unwrap_or_default(),
        Dimension::Model => item.model.clone().unwrap_or_default(),
    }
}

fn figures(usage: &Measures) -> [String; 7] {
    let unpriced = usage.uncosted.tokens();
    let nothing_priced = usage.cost_usd.ticks() == 0 && unpriced == usage.tokens();
    [
        thousands(usage.input_tokens),
        thousands(usage.output_tokens),
        thousands(usage.cache_read_tokens),
        thousands(usage.cache_write_tokens + usage.cache_write_1h_tokens),
        if nothing_priced { "-".to_owned() } else { price(&usage.cost_usd.to_string()) },
        thousands(unpriced),
        thousands(usage.event_count),
    ]
}

/// Every digit that counts, and cents at least.
pub(super) fn price(usd: &str) -> String {
    let (dollars, fraction) = usd.split_once('.').unwrap_or((usd, ""));
    format!("{dollars}.{fraction:0<2}")
}

/// The columns of the key, each with its id where there is one, then every measure.
fn csv(summary: &Summary, by: &BTreeSet<Dimension>, writer: &mut dyn io::Write) -> io::Result<()> {
    let mut csv = csv::Writer::from_writer(writer);
    let keys = by.iter().flat_map(|dimension| match dimension {
        Dimension::Day => vec!["date"],
        Dimension::Workspace => vec!["workspace_id", "workspace_name"],
        Dimension::Runtime => vec!["runtime_id", "runtime_name"],
        other => vec![title(*other)],
    });
    csv.write_record(keys.chain(measures(&summary.total).map(|(name, _)| name)))?;
    for item in &summary.items {
        let id = |id: Option<Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
        let keys = by.iter().flat_map(|dimension| match dimension {
            Dimension::Workspace => vec![id(item.workspace_id), item.workspace_name.clone().unwrap_or_default()],
            Dimension::Runtime => vec![id(item.runtime_id), item.runtime_name.clone().unwrap_or_default()],
            other => vec![word(item, *other)],
        });
        csv.write_record(keys.chain(measures(&item.usage).map(|(_, value)| value)))?;
    }
    csv.flush()
}

/// Every measure by its name in the HTTP API.
fn measures(usage: &Measures) -> [(&'static str, String); 12] {
    let uncosted = &usage.uncosted;
    [
        ("input_tokens", usage.input_tokens.to_string()),
        ("output_tokens", usage.output_tokens.to_string()),
        ("cache_read_tokens", usage.cache_read_tokens.to_string()),
        ("cache_write_tokens", usage.cache_write_tokens.to_string()),
        ("cache_write_1h_tokens", usage.cache_write_1h_tokens.to_string()),
        ("cost_usd", usage.cost_usd.to_string()),
        ("uncosted_input_tokens", uncosted.input_tokens.to_string()),
        ("uncosted_output_tokens", uncosted.output_tokens.to_string()),
        ("uncosted_cache_read_tokens", uncosted.cache_read_tokens.to_string()),
        ("uncosted_cache_write_tokens", uncosted.cache_write_tokens.to_string()),
        ("uncosted_cache_write_1h_tokens", uncosted.cache_write_1h_tokens.to_string()),
        ("event_count", usage.event_count.to_string()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_keeps_every_digit_and_shows_cents() {
        let shown = ["0", "1.5", "12", "0.0000000001"].map(price);
        assert_eq!(shown, ["0.00", "1.50", "12.00", "0.0000000001"]);
    }
}
