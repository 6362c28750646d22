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
pub mod parameters;
pub mod path;
pub mod request;
mod router;
pub mod server;
mod service;
#[cfg(test)]
pub(crate) mod testing;
mod unread;
pub mod v1;

pub use router::router;

use crate::clock::Clock;
use crate::db::presence::Presence;
use crate::ingest::Ingest;
use crate::telemetry::metrics::Metrics;
use limits::{BodyRoom, Limits};
use sqlx::PgPool;
use std::sync::Arc;

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
    /// What clients may take.
    pub limits: Limits,
    /// Room for the bodies that they send.
    pub body_room: BodyRoom,
}

impl App {
    /// With the usual limits.
    pub fn new(pool: PgPool, clock: Clock, ingest: Ingest, metrics: Arc<Metrics>) -> Self {
        let limits = Limits::default();
        let (presence, body_room) = (Presence::of(&pool), BodyRoom::new(limits.bodies_bytes_max));
        Self { pool, presence, clock, ingest, metrics, limits, body_room }
    }
}
