//! The heart: keeps every rollup's now-view equal to the sums of the raw rows.
//!
//! The engine itself is SQL (`migrations/`): capture, pending, fold, coverage, rebuild. These modules drive it,
//! in the order in which the data flows, and hold no state that matters: any number of instances may run.
pub mod backfill;
mod backoff;
pub mod drift;
pub mod fold;
pub mod problems;
pub mod repair;
pub mod status;
pub mod verifier;
pub mod verify;
pub mod worker;
