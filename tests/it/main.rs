//! Integration tests: one binary, a database for each test.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod cli;
mod concurrency;
mod crashes;
mod defects;
mod docs;
mod invariant;
mod migrations;
mod mutations;
mod outage;
mod races;
