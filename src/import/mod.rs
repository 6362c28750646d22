//! Reads usage from files into the database, through [`crate::ingest`] like any other reporter.
//!
//! Invariant: an import may be stopped, killed and started again at any point; what it has stored already is found unchanged.
pub mod csv;
mod error;
mod place;
mod store;

pub use error::{BadLine, Error};

use serde::Serialize;

/// What an import has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Records read, the skipped ones included.
    pub records: u64,
    /// Stored for the first time.
    pub created: u64,
    /// Stored before with other values.
    pub replaced: u64,
    /// Stored before just so.
    pub unchanged: u64,
    /// Stored by somebody else with a higher sequence.
    pub stale: u64,
    /// Stored before, and sealed by retention since.
    pub sealed: u64,
    /// Bad lines that were left out.
    pub skipped: u64,
}

/// What happens during an import.
#[derive(Debug)]
pub enum Event<'a> {
    /// A line is left out.
    Skipped(&'a BadLine),
    /// Everything up to `bytes` of the file is stored.
    Stored {
        /// How far into the file.
        bytes: u64,
        /// All so far.
        summary: &'a Summary,
    },
}
