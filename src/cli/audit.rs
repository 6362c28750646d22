//! `tallybook audit`: who did what cannot be undone.
use super::output::{Output, table};
use super::{Outcome, days};
use crate::audit::{self, ActionName, Entry, Page};
use crate::clock::Clock;
use crate::db::pool::PgPool;
use anyhow::Context as _;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use serde_json::{Value, json};
use uuid::Uuid;

const AFTER_HELP: &str = "\
Purges, repairs, usage sealed and thinned, partitions detached, tokens made and revoked, rollups declared and dropped, migrations: each entry was written in the transaction of what it tells of, and nobody changes or removes one.

Examples:
  tallybook audit --since 7d
  tallybook audit --action token.create --json";

/// List who did what cannot be undone, newest first.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// Nothing older: a UTC day, a time in RFC 3339, or how long ago, such as 7d or 12h [default: the beginning of time].
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<Since>,
    /// Only this action, such as token.create.
    #[arg(long, value_name = "ACTION")]
    action: Option<ActionName>,
    /// Only what was done to this workspace, by id.
    #[arg(long, value_name = "ID")]
    workspace: Option<Uuid>,
    /// Only those after this entry, that is, older ones: for the next page.
    #[arg(long, value_name = "ID")]
    after: Option<Uuid>,
    /// How many at most.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=10_000))]
    limit: i64,
    /// Answer with a JSON object: `items`, and `next_after`, what to give as --after for the next page.
    #[arg(long)]
    json: bool,
}

/// A time, or how long ago it was.
#[derive(Clone, Copy, Debug)]
enum Since {
    At(Timestamp),
    Ago(Span),
}

fn since(text: &str) -> Result<Since, &'static str> {
    let refused = "a UTC day such as 2026-01-31, a time in RFC 3339, or how long ago, such as 7d or 12h";
    if let Ok(day) = days::day(text) {
        return day.to_zoned(TimeZone::UTC).map(|day| Since::At(day.timestamp())).map_err(|_| refused);
    }
    if let Ok(at) = text.parse() {
        return Ok(Since::At(at));
    }
    text.parse().ok().filter(|span: &Span| span.is_positive()).map(Since::Ago).ok_or(refused)
}

impl Since {
    fn instant(self, now: Timestamp) -> anyhow::Result<Timestamp> {
        match self {
            Self::At(at) => Ok(at),
            Self::Ago(span) => {
                let then = now.to_zoned(TimeZone::UTC).checked_sub(span).context("--since lies before the beginning of time")?;
                Ok(then.timestamp())
            }
        }
    }
}

/// Prints a page of the log.
pub(super) async fn run(arguments: Arguments, pool: &PgPool, clock: &Clock, out: &mut Output) -> anyhow::Result<Outcome> {
    let since = arguments.since.map(|since| since.instant(clock.now())).transpose()?;
    let Arguments { action, workspace, after, limit, json, .. } = arguments;
    // One more than asked for tells whether there is another page.
    let mut items = audit::list(pool, &Page { workspace, action, since, after, limit: limit + 1 }).await?;
    let limit = usize::try_from(limit)?;
    let more = items.len() > limit;
    items.truncate(limit);
    let next_after = items.last().filter(|_| more).map(|entry| entry.id);
    if json {
        out.json(&json!({ "items": items, "next_after": next_after }))?;
        return Ok(Outcome::Done);
    }
    if items.is_empty() {
        out.line("Nothing was done.")?;
    } else {
        out.line(table(["when", "action", "target", "by", "details"], items.iter().map(row), 5))?;
    }
    if let Some(after) = next_after {
        out.line(format_args!("\nThere is more: --after {after}"))?;
    }
    Ok(Outcome::Done)
}

fn row(entry: &Entry) -> [String; 5] {
    let by = match (&entry.token_name, entry.token_id) {
        (Some(name), _) => format!("token {name}"),
        (None, Some(id)) => format!("token {id}"),
        (None, None) => format!("{} as {}", entry.via, entry.role),
    };
    let details = entry.details.as_object().map(|details| details.iter().map(detail).collect::<Vec<_>>().join(", "));
    [format!("{:.0}", entry.occurred_at), entry.action.clone(), entry.target.clone(), by, details.unwrap_or_default()]
}

fn detail((name, value): (&String, &Value)) -> String {
    match value {
        Value::String(text) => format!("{name} {text}"),
        value => format!("{name} {value}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_day_an_instant_or_how_long_ago() {
        let now = "2026-03-10T12:00:00Z".parse().unwrap();
        for (text, instant) in [
            ("2026-03-01", "2026-03-01T00:00:00Z"),
            ("2026-03-01T05:00:00+01:00", "2026-03-01T04:00:00Z"),
            ("7d", "2026-03-03T12:00:00Z"),
            ("90m", "2026-03-10T10:30:00Z"),
        ] {
            assert_eq!(since(text).unwrap().instant(now).unwrap().to_string(), instant, "{text}");
        }
        for bad in ["", "soon", "-7d", "0d", "2026-13-01"] {
            assert!(since(bad).unwrap_err().contains("7d"), "{bad}");
        }
        assert!(since("20000y").is_err() || since("20000y").unwrap().instant(now).is_err());
    }
}
