//! Tallybook meters what fleets of AI agents use and keeps rollups that always equal the raw rows.
//!
//! The invariant that everything serves (I1): in every snapshot of the database, every rollup's
//! now-view equals the sums of the contributions of all raw usage rows. The engine that holds it is
//! plain SQL in `migrations/`; this crate installs it, drives it, checks it, and serves it.
//!
//! In the order in which the data flows:
//! - [`ingest`] stores usage reports; [`import`] reads them from files; [`access`] says who may, [`audit`] who did.
//! - [`rollup`] folds, covers, verifies and repairs; [`doctor`] looks for what could make it err; [`rights`] says what the service's role
//!   needs; [`retention`] seals what is old.
//! - [`backup`] takes all of it away, and brings it back.
//! - [`moving`] hands over from the usual design of such rollups; [`schedule`] has somebody fold where no service runs.
//! - [`entity`] keeps what usage is attributed to; [`query`] reads usage back.
//! - [`http`] and [`cli`] are the two ways in; [`demo`] is a simulated fleet that uses the first.
//! - `bench` measures all of that beside what one would have instead.
//! - [`db`], [`embedded`] and [`telemetry`] are what they stand on; [`model`] and [`clock`] have no I/O.

pub mod access;
pub mod adopt;
pub mod audit;
pub mod backup;
mod bench;
pub mod cli;
pub mod clock;
pub mod config;
pub mod db;
pub mod demo;
pub mod doctor;
pub mod embedded;
pub mod entity;
pub mod http;
pub mod import;
pub mod ingest;
pub mod model;
pub mod moving;
pub mod query;
pub mod retention;
pub mod rights;
pub mod rollup;
pub mod schedule;
pub mod service;
pub mod telemetry;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
