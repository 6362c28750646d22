//! A simulated fleet on a database of its own: the whole service with something to count, for trying it out.
//!
//! The fleet knows nothing but the HTTP API. It reports usage as a careless world does: corrected, late, twice,
//! out of order, for tasks that move, are archived and are purged; [`Demo::figures`] shows what comes of it.
//!
//! In the order of a run: [`claim`] sees to it that the database is the demo's, [`cast`] names who takes part,
//! [`crew`] decides what happens next, [`client`] says it to the service, [`tally`] counts, [`figures`] reads.
//! Only [`crew`] draws lots, all of them from the seed; what is printed is the command line's business.
mod call;
mod cast;
mod claim;
mod client;
mod crew;
mod figures;
mod fleet;
mod report;
mod step;
mod tally;
#[cfg(test)]
mod tests;

pub use claim::{Refusal, SLUG, WORKSPACE};
pub use figures::Figures;
pub use fleet::Pace;
pub use step::Kind;
pub use tally::Counts;

use crate::access::{self, Scope, Secret};
use crate::audit::Actor;
use crate::db::database::{self, Database, Schema};
use crate::service::{self, Service};
use client::Client;
use fleet::Fleet;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Instant;
use uuid::Uuid;

/// What the fleet's own token is called.
const TOKEN_NAME: &str = "fleet of the demo";

/// What a demo is started with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The service that the fleet reports to.
    pub service: service::Settings,
    /// How fast it reports.
    pub pace: Pace,
    /// Decides what the fleet does: the same seed, the same deeds.
    pub seed: u64,
}

/// Why a demo did not start or did not go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Plain HTTP, with a token that anybody may copy from the screen's advice, has no business on a network.
    #[error("the demo listens on this machine's own addresses only, and {0} is none of them; use 127.0.0.1")]
    Exposed(SocketAddr),
    /// The database is not the demo's.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The database could not be opened.
    #[error(transparent)]
    Open(#[from] database::Error),
    /// The service did not start, or ended.
    #[error(transparent)]
    Service(#[from] service::Error),
    /// The fleet could not be given a token.
    #[error("the fleet cannot be given a token: {0}")]
    Token(#[from] access::Error),
    /// The service did not take what the fleet consists of.
    #[error("the fleet cannot be set up: {0}")]
    SetUp(#[from] client::Failure),
    /// The database refused or went away.
    #[error("the demo's database failed: {0}")]
    Database(#[from] sqlx::Error),
}

/// A running service with a fleet that reports to it.
#[derive(Debug)]
pub struct Demo {
    service: Service,
    settings: Settings,
    token_id: Uuid,
    fleet: Fleet,
    began: Instant,
}

impl Demo {
    /// Starts everything. Changes nothing in a database that holds other data than the demo's.
    pub async fn start(settings: Settings) -> Result<Self, Error> {
        let listen = settings.service.listen;
        if !listen.ip().is_loopback() {
            return Err(Error::Exposed(listen));
        }
        let place = &settings.service.database;
        // Held open until the service has it, so that a private PostgreSQL is started once.
        let database = Database::open(place, Schema::Any).await?;
        let started = match claim::check(&database.pool, place).await {
            Ok(()) => Box::pin(Service::start(settings.service.clone())).await.map_err(Error::from),
            Err(error) => Err(error),
        };
        let closed = database.close().await;
        let service = started?;
        let opened = match closed {
            Ok(()) => Self::send_fleet(&service, &settings).await,
            Err(error) => Err(error.into()),
        };
        match opened {
            Ok((token_id, fleet)) => Ok(Self { service, settings, token_id, fleet, began: Instant::now() }),
            Err(error) => {
                Box::pin(service.stop()).await?;
                Err(error)
            }
        }
    }

    /// Marks the database, gives the fleet its token, lets its members be made, and sets it going.
    async fn send_fleet(service: &Service, settings: &Settings) -> Result<(Uuid, Fleet), Error> {
        let clock = &settings.service.clock;
        claim::mark(&service.pool, &settings.service.database, clock.now()).await?;
        let new =
            access::New { name: TOKEN_NAME.to_owned(), workspace: Some(WORKSPACE), scopes: vec![Scope::Admin], expires_at: None };
        let (secret, record): (Secret, _) = access::create(&service.pool, clock, &Actor::service(), new).await?;
        let client = Client::new(service.address, &secret);
        for call in cast::calls() {
            client.send(call).await?;
        }
        Ok((record.id, Fleet::start(&client, settings.pace, settings.seed, clock)))
    }

    /// Where the service listens.
    pub fn address(&self) -> SocketAddr {
        self.service.address
    }

    /// The private instance's admin token, a file that only its owner can read.
    pub fn token_path(&self) -> Option<&Path> {
        self.service.token_path.as_deref()
    }

    /// A runtime that the fleet uses from the first moment on.
    pub fn example_runtime() -> Uuid {
        cast::RUNTIMES[0].id()
    }

    /// The service's database.
    pub fn pool(&self) -> &crate::db::pool::PgPool {
        &self.service.pool
    }

    /// What has come of it so far.
    pub async fn figures(&self) -> Result<Figures, sqlx::Error> {
        figures::read(&self.service.pool, self.settings.service.clock.now(), self.began.elapsed(), self.fleet.counts()).await
    }

    /// What the fleet has done so far.
    pub fn counts(&self) -> Counts {
        self.fleet.counts()
    }

    /// Waits until the service cannot go on, and says why. The demo still has to be stopped.
    pub async fn failed(&mut self) -> Error {
        self.service.failed().await.into()
    }

    /// Lets the fleet finish what it is saying, and say no more.
    pub async fn rest(&self) {
        self.fleet.stop().await;
    }

    /// Stops everything in order: the fleet, its token, the service, a private PostgreSQL.
    pub async fn stop(self) -> Result<(), Error> {
        self.fleet.stop().await;
        let revoked = access::revoke(&self.service.pool, &self.settings.service.clock, &Actor::service(), self.token_id).await;
        Box::pin(self.service.stop()).await?;
        revoked?;
        Ok(())
    }
}
