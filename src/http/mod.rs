//! The HTTP API.
//!
//! [`router()`] puts it together: every request is accompanied ([`request`]), limited ([`limits`]), authenticated
//! ([`auth`]) and answered by one file under [`v1`], or with a problem ([`error`]). It decides who may do what and
//! how things look in JSON; what is stored and summed is the business of [`crate::entity`], [`crate::ingest`] and
//! [`crate::query`].
//!
//! Invariant: nothing is answered without a token but what [`service`] and [`openapi`] serve.
pub mod auth;
pub mod body;
#[cfg(test)]
mod defects;
pub mod error;
#[cfg(test)]
mod hostile;
pub mod limits;
mod openapi;
pub mod page;
pub mod parameters;
pub mod path;
pub mod rate;
pub mod request;
mod router;
pub mod server;
mod service;
#[cfg(test)]
pub(crate) mod testing;
pub mod tls;
mod unread;
pub mod v1;

pub use router::router;

use crate::clock::Clock;
use crate::db::pool::PgPool;
use crate::db::presence::Presence;
use crate::ingest::Ingest;
use crate::query::Reading;
use crate::telemetry::metrics::Metrics;
use limits::{BodyRoom, Limits};
use rate::{RateLimits, Rates};
use std::sync::Arc;
use tokio::sync::Mutex;

/// What every handler has at hand.
#[derive(Clone, Debug)]
pub struct App {
    /// Connections to the database.
    pub pool: PgPool,
    /// Whether the database is there.
    pub presence: Presence,
    /// The time.
    pub clock: Clock,
    /// Where usage reports go.
    pub ingest: Ingest,
    /// What this process counts.
    pub metrics: Arc<Metrics>,
    /// Where sums are read.
    pub reading: Reading,
    /// What clients may take.
    pub limits: Limits,
    /// Room for the bodies that they send.
    pub body_room: BodyRoom,
    /// Held by who reads the database for `/metrics`: one at a time.
    pub scrape: Arc<Mutex<()>>,
    /// What each token may ask for in a second.
    pub rates: RateLimits,
}

impl App {
    /// With the usual limits, and none of rates, reading from the rollups.
    pub fn new(pool: PgPool, clock: Clock, ingest: Ingest, metrics: Arc<Metrics>) -> Self {
        let limits = Limits::default();
        let (presence, body_room) = (Presence::of(&pool), BodyRoom::new(limits.bodies_bytes_max));
        let rates = RateLimits::new(Rates::default(), &clock);
        Self {
            pool,
            presence,
            clock,
            ingest,
            metrics,
            reading: Reading::default(),
            limits,
            body_room,
            scrape: Arc::default(),
            rates,
        }
    }

    /// For ordinary requests: when nobody waits for an answer any more, the server gives up, too, and the connection is free.
    fn ordinary_pool(&self) -> PgPool {
        self.pool.with_statement_timeout(limits::REQUEST_TIMEOUT)
    }

    /// The same for what may take longer.
    fn bulk_pool(&self) -> PgPool {
        self.pool.with_statement_timeout(limits::BULK_TIMEOUT)
    }
}
