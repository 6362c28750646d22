//! The heart: keeps every rollup's now-view equal to the sums of the raw rows.
//!
//! The engine itself is SQL (`migrations/`): capture, pending, fold, coverage, rebuild. These modules drive it,
//! in the order in which the data flows, and hold no state that matters: any number of instances may run.
pub mod backfill;
pub mod fold;
pub mod repair;
pub mod status;
pub mod verify;
pub mod worker;

/// Why work on the rollups could not be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database refused or went away.
    #[error("{0}")]
    Database(#[from] sqlx::Error),
    /// The database answered with something that we do not understand.
    #[error("the database gave {what}, which this version of Tallybook cannot read")]
    Unreadable {
        /// The value, as text.
        what: String,
    },
}
