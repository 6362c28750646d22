//! `tallybook import`: reads usage from files.
use super::Outcome;
use super::output::{Output, count, thousands};
use crate::clock::Clock;
use crate::db::pool::PgPool;
use crate::import::csv::{self, Columns, OnBad, Options, Origin};
use crate::import::{Event, Summary};
use crate::model::Name;
use crate::rollup::fold;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::tz::TimeZone;
use std::path::PathBuf;

const AFTER_HELP: &str = "\
Example:
  tallybook import csv requests.csv --time TIMESTAMP --input ContextTokens --output GeneratedTokens --model =gpt-4 --provider =azure

Each record becomes one event, known by the file's name and the record's number, or by the value of --key-column. Importing a file again changes nothing, and an import that was stopped is completed by running it again. Without --task-column all records of one file and UTC day are one task.

Times may be RFC 3339, without an offset (then in --zone), or seconds, milliseconds, microseconds or nanoseconds since 1970.";

/// Read usage from files.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    Csv(Box<Arguments>),
}

/// Import a CSV file with a header: one record, one event.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// The file.
    #[arg(value_hint = clap::ValueHint::FilePath)]
    file: PathBuf,
    /// Column of the time at which the tokens were used.
    #[arg(long, value_name = "COLUMN")]
    time: String,
    /// Column of the input tokens.
    #[arg(long, value_name = "COLUMN")]
    input: String,
    /// Column of the output tokens.
    #[arg(long, value_name = "COLUMN")]
    output: String,
    /// Column of the input tokens that were read from a cache; they must not be in --input again.
    #[arg(long, value_name = "COLUMN")]
    cache_read: Option<String>,
    /// Column of the input tokens that were written to a cache; they must not be in --input again.
    #[arg(long, value_name = "COLUMN")]
    cache_write: Option<String>,
    /// Column of the price in USD; an empty cell means that none is known.
    #[arg(long, value_name = "COLUMN")]
    cost: Option<String>,
    /// Column of the model, or =NAME for all.
    #[arg(long, value_name = "COLUMN|=NAME", default_value = "=unknown")]
    model: Origin,
    /// Column of who served the model, or =NAME for all.
    #[arg(long, value_name = "COLUMN|=NAME", default_value = "=unknown")]
    provider: Origin,
    /// Workspace to import into; made if there is none of that name [default: the source]
    #[arg(long, value_name = "NAME")]
    workspace: Option<Name>,
    /// Where the tasks ran [default: the source]
    #[arg(long, value_name = "NAME")]
    runtime: Option<Name>,
    /// Who worked on the tasks [default: the source]
    #[arg(long, value_name = "NAME")]
    agent: Option<Name>,
    /// Column of the task: its id, or any name for it.
    #[arg(long, value_name = "COLUMN")]
    task_column: Option<String>,
    /// Column that tells the records of a task apart, such as a request id, instead of the record's number.
    #[arg(long, value_name = "COLUMN")]
    key_column: Option<String>,
    /// What the file is known as when it is imported again [default: its name without extension]
    #[arg(long, value_name = "NAME")]
    source: Option<Name>,
    /// Whether a bad line ends the import or is left out.
    #[arg(long, value_enum, default_value_t)]
    on_error: OnBad,
    /// Time zone of times without an offset.
    #[arg(long, value_name = "ZONE", default_value = "UTC", value_parser = zone)]
    zone: TimeZone,
    /// What separates the fields: one character, or `tab`.
    #[arg(long, value_name = "CHARACTER", default_value = ",", value_parser = delimiter)]
    delimiter: u8,
    /// Answer with a JSON object: how many `records` were read, and `created`, `replaced`, `unchanged`, `stale` and `skipped`.
    #[arg(long)]
    json: bool,
}

/// Imports, shows how far it is, and prints what became of the records.
pub(super) async fn run(command: Command, pool: &PgPool, clock: &Clock, out: &mut Output) -> anyhow::Result<Outcome> {
    let Command::Csv(arguments) = command;
    let json = arguments.json;
    let options = arguments.options();
    let bytes = std::fs::metadata(&options.path).map_or(0, |file| file.len());
    let bar = ProgressBar::new(bytes).with_style(ProgressStyle::with_template(
        "{bar:30} {percent:>3} % of {total_bytes}, {bytes_per_sec}, {eta} left, {msg}",
    )?);
    let progress = |event: Event<'_>| match event {
        Event::Skipped(line) => bar.suspend(|| eprintln!("skipped: {line}")),
        Event::Stored { bytes, summary } => {
            bar.set_message(format!("{} records", thousands(summary.records)));
            bar.set_position(bytes);
        }
    };
    let summary = csv::run(pool, clock, &options, progress).await;
    bar.finish_and_clear();
    let summary = summary?;
    if json {
        out.json(&summary)?;
    } else {
        print(&summary, out)?;
    }
    out.finish()?;
    // Reads are exact without it, but a whole file pending makes them slow until somebody folds.
    if let Err(error) = fold::drain(pool).await {
        tracing::warn!(%error, "all is imported and not folded yet: reads are exact, and slower until `tallybook fold` has done it");
    }
    Ok(Outcome::Done)
}

fn print(summary: &Summary, out: &mut Output) -> anyhow::Result<()> {
    let Summary { records, created, replaced, unchanged, stale, sealed, skipped } = *summary;
    let parts = [
        ("created", created),
        ("replaced", replaced),
        ("unchanged", unchanged),
        ("stale", stale),
        ("sealed", sealed),
        ("skipped", skipped),
    ];
    let parts = parts.iter().filter(|(_, count)| *count > 0).map(|(word, count)| format!("{} {word}", thousands(*count)));
    let parts = parts.collect::<Vec<_>>().join(", ");
    let colon = if parts.is_empty() { "" } else { ": " };
    out.line(format_args!("{} read{colon}{parts}.", count(records, "record")))?;
    if replaced > 0 {
        out.line(
            "What was replaced was stored before under the same file name; two different files of one name need a --source each.",
        )?;
    }
    Ok(())
}

impl Arguments {
    fn options(self) -> Options {
        Options {
            path: self.file,
            source: self.source,
            workspace: self.workspace,
            runtime: self.runtime,
            agent: self.agent,
            columns: Columns {
                time: self.time,
                input: self.input,
                output: self.output,
                cache_read: self.cache_read,
                cache_write: self.cache_write,
                cost: self.cost,
                model: self.model,
                provider: self.provider,
                task: self.task_column,
                key: self.key_column,
            },
            on_bad: self.on_error,
            zone: self.zone,
            delimiter: self.delimiter,
        }
    }
}

fn zone(name: &str) -> Result<TimeZone, String> {
    TimeZone::get(name).map_err(|_| "no such zone: name one as Europe/Berlin is named".to_owned())
}

fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        b"tab" | b"\\t" => Ok(b'\t'),
        [byte] if byte.is_ascii() && !byte.is_ascii_alphanumeric() && !b"\"\r\n".contains(byte) => Ok(*byte),
        _ => Err("must be one character that is neither a letter, a digit, a quote nor a line break, or `tab`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delimiters_are_single_characters() {
        assert_eq!(delimiter(";"), Ok(b';'));
        assert_eq!(delimiter("tab"), Ok(b'\t'));
        assert_eq!(delimiter("\t"), Ok(b'\t'));
        for text in ["", ";;", "a", "\"", "é"] {
            assert!(delimiter(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn zones_are_known_by_their_names() {
        assert!(zone("Asia/Kolkata").is_ok());
        assert!(zone("Mars/Olympus").is_err());
    }
}
