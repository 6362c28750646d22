//! Retention: old usage leaves the raw table, old quarter hours become days, and every sum stays.
//!
//! The engine's part is SQL (`tallybook.seal`, `tallybook.thin`): the truth is raw plus sealed, both sides of a move are captured, and a row of
//! raw usage is deleted, sealed, and its identity kept in one statement. These modules drive it, in the order in which it happens:
//! - [`age`] is how old is old; [`mod@plan`] finds the UTC days that are;
//! - [`mod@reference`] finds the foreign keys of others that refer to raw usage, and what they would do;
//! - [`mod@run`] takes them one by one, oldest first: a day is compared with raw usage in every rollup, sealed in small transactions or thinned in
//!   one, and compared again;
//! - [`partition`] detaches the partitions of which nothing is left.
//!
//! Invariant: a day on which any rollup differs, or that any does not cover, is left as it is.
//!
//! Nothing of a run is kept but what it has done: killed at any point, the next one goes on. Any number of them may run at once, beside writers,
//! folds and backfills: a row that somebody else has is left to a later run.
pub mod age;
mod discard;
pub mod partition;
pub mod plan;
pub mod reference;
pub mod run;

pub use age::Age;
pub use discard::discard;
pub use plan::{Plan, PlannedDay, Policy, plan};
pub use reference::{OnDelete, Reference};
pub use run::{Differing, Error, Event, Options, Report, SealedDay, ThinnedDay, run};

#[cfg(test)]
mod tests;
