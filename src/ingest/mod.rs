//! Stores usage reports: validated, committed in groups, answered only after the commit.
//!
//! In the order in which a report travels:
//! - [`report`] is what comes in and what goes out; [`error`] says why something was refused;
//! - `queue` takes requests in, bounded, and lets none wait for ever; `dispatch` forms groups of them;
//! - `commit` writes a group, and keeps one request's failure from the others;
//! - `transaction` is one attempt: `world` looks up what is there, `plan` decides (no I/O), `create` makes
//!   and moves tasks and what they refer to, `usage` stores the counters; `statements` are their SQL, for the tables as they are.
//!
//! Invariants:
//! - A report is acknowledged only after its commit. What was not acknowledged may be sent again: the same identity
//!   (task, provider, model, event key) replaces, so nothing is counted twice.
//! - A request is stored whole or not at all.
//! - Requests that name the same identity are applied in the order in which they came.
//!
//! Nothing here knows of rollups: their capture is the database's own.
mod commit;
mod create;
mod dispatch;
pub mod error;
mod limits;
mod plan;
mod queue;
pub mod report;
mod statements;
mod transaction;
mod usage;
mod world;

#[cfg(test)]
mod tests;

pub use commit::Observer;
pub use error::{Error, Fault};
pub use limits::Limits;
pub use queue::Ingest;
pub use report::{Counts, Outcome, Reference, Report, TaskPlace};
