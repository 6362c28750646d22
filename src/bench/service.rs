//! Services to measure: the product's HTTP server over a database, in this process, or all of it in one of its own.
use super::Error;
use super::client::Client;
use super::server::Database;
use crate::access::{self, Scope};
use crate::audit::Actor;
use crate::clock::Clock;
use crate::db::pool::PgPool;
use crate::http::{self, App};
use crate::ingest::{Ingest, Limits};
use crate::query::Reading;
use crate::rollup::worker;
use crate::telemetry::metrics::Metrics;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Connections of a service unless told otherwise: as many as `tallybook serve` has.
pub(super) const CONNECTIONS: u32 = crate::service::Settings::CONNECTIONS_MAX;

/// Where a service listens, and what opens it.
#[derive(Clone)]
pub(super) struct Endpoint {
    address: SocketAddr,
    token: String,
}

impl Endpoint {
    pub(super) async fn client(&self) -> Result<Client, Error> {
        Client::connect(self.address, &self.token).await
    }
}

/// The HTTP server of the product, without the loops beside it: nothing is folded unless [`Api::fold`] is called.
pub(super) struct Api {
    pub(super) endpoint: Endpoint,
    pool: PgPool,
    stop: CancellationToken,
    serving: JoinSet<Result<(), Error>>,
}

impl Api {
    /// Starts one that reads there, with ingest and a pool like these.
    pub(super) async fn start(database: &Database, reading: Reading, limits: Limits, connections: u32) -> Result<Self, Error> {
        let (pool, clock, metrics) = (database.pool(connections), Clock::system(), Arc::new(Metrics::new()));
        let token = token(&pool, &clock).await?;
        let ingest = Ingest::observed(pool.clone(), clock.clone(), &TaskTracker::new(), limits, Arc::clone(&metrics));
        let app = App { reading, ..App::new(pool.clone(), clock, ingest, metrics) };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let (address, stop) = (listener.local_addr()?, CancellationToken::new());
        let mut serving: JoinSet<Result<(), Error>> = JoinSet::new();
        let stopped = stop.clone();
        serving.spawn(async move { Ok(http::server::serve(listener, app, None, stopped).await?) });
        Ok(Self { endpoint: Endpoint { address, token }, pool, stop, serving })
    }

    /// The usual one, which reads there.
    pub(super) async fn reading(database: &Database, reading: Reading) -> Result<Self, Error> {
        Self::start(database, reading, Limits::default(), CONNECTIONS).await
    }

    /// Folds from now on, as a service does.
    pub(super) fn fold(&mut self) {
        let (pool, stop) = (self.pool.clone(), self.stop.clone());
        self.serving.spawn(async move {
            worker::run(pool, stop, Arc::new(Metrics::new()), false).await;
            Ok(())
        });
    }

    /// Stops it, once nobody is connected any more.
    pub(super) async fn stop(mut self) -> Result<(), Error> {
        self.stop.cancel();
        while let Some(ended) = self.serving.join_next().await {
            ended??;
        }
        self.pool.close().await;
        Ok(())
    }
}

async fn token(pool: &PgPool, clock: &Clock) -> Result<String, Error> {
    let scopes = vec![Scope::Ingest, Scope::Read];
    let new = access::New { name: "bench".to_owned(), workspace: None, scopes, expires_at: None };
    let (secret, _) = access::create(pool, clock, &Actor::cli(), new).await?;
    Ok(secret.reveal().to_owned())
}

/// `tallybook serve` in a process of its own, which dies with this handle.
pub(super) struct Process {
    pub(super) endpoint: Endpoint,
    child: Child,
}

impl Process {
    /// Starts it, and waits until it says where it listens.
    pub(super) async fn start(database: &Database) -> Result<Self, Error> {
        let pool = database.pool(1);
        let token = token(&pool, &Clock::system()).await;
        pool.close().await;
        let mut child = Command::new(std::env::current_exe()?)
            .args(["serve", "--listen", "127.0.0.1:0", "--log-level", "error"])
            .env("DATABASE_URL", database.url())
            .env("TALLYBOOK_CONFIG", "/dev/null")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let silent = || Error::Http("the service has not said where it listens".to_owned());
        let mut lines = BufReader::new(child.stdout.take().ok_or_else(silent)?).lines();
        let line = lines.next_line().await?.ok_or_else(silent)?;
        let address = line.split_once("http://").and_then(|(_, rest)| rest.split(',').next()?.parse().ok()).ok_or_else(silent)?;
        Ok(Self { endpoint: Endpoint { address, token: token? }, child })
    }

    /// The number of its process, while it runs.
    pub(super) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    pub(super) async fn stop(mut self) -> Result<(), Error> {
        Ok(self.child.kill().await?)
    }
}
