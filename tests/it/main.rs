//! Integration tests: one binary, a database for each test.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod adoption;
mod cli;
mod commands;
mod concurrency;
mod crashes;
mod defects;
mod deploy;
mod docs;
mod failover;
mod invariant;
mod migrations;
mod moving;
mod mutations;
mod outage;
mod pooler;
mod property;
mod races;
mod readme;
mod results;
mod rights;
mod schedule;
mod tls;
mod under_load;
mod upgrades;
