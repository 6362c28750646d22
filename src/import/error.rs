//! Why an import stopped.
use super::Summary;
use crate::ingest;
use std::fmt;
use std::path::PathBuf;

/// A line of the file that makes no report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// The line, from 1, on which the record begins.
    pub line: u64,
    /// The column, as the header calls it; empty when it is the whole record.
    pub column: String,
    /// What is wrong.
    pub reason: String,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: ", self.line)?;
        if !self.column.is_empty() {
            write!(f, "column {:?} ", self.column)?;
        }
        f.write_str(&self.reason)
    }
}

/// Why an import stopped. What it had stored stays; running it again goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be opened.
    #[error("cannot open {}: {cause}", path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// The file cannot be read on.
    #[error("cannot read on after {records} records: {cause}")]
    Read {
        /// How many had been read.
        records: u64,
        /// Why.
        cause: ::csv::Error,
    },
    /// A record goes on and on: memory for it is bounded.
    #[error(
        "line {line}: the record that begins here has more than {bytes_max} bytes; if a quote in it is not closed, mend that and \
         import again: all {records} records before it are stored"
    )]
    RecordTooLong {
        /// How many had been read before it.
        records: u64,
        /// The line, from 1, on which it begins.
        line: u64,
        /// How many bytes a record may have.
        bytes_max: usize,
    },
    /// The file has no such column, or several.
    #[error("there is {found} column {wanted:?}; the file's header has {}", names(available))]
    Column {
        /// "no", or "more than one".
        found: &'static str,
        /// The one that was asked for.
        wanted: String,
        /// The ones that it has.
        available: Vec<String>,
    },
    /// Something that was given, or follows from the file's name, cannot be used.
    #[error("{what} {reason}")]
    Option {
        /// What it is.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A bad line, where bad lines are fatal.
    #[error("{line}; the {} records before it are stored: mend the line and import again, or skip bad lines", summary.records)]
    Line {
        /// The line.
        line: BadLine,
        /// All before it.
        summary: Summary,
    },
    /// The reports could not be stored.
    #[error("after {records} records: {cause}")]
    Store {
        /// How many had been stored.
        records: u64,
        /// Why not the next.
        cause: ingest::Error,
    },
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

fn names(columns: &[String]) -> String {
    if columns.is_empty() {
        return "none at all".to_owned();
    }
    columns.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ")
}
