//! The running service: HTTP, ingest, the fold loop and the verifier over one database, started and stopped in order.
//!
//! Start: listen, database, migrations, token, ingest, fold loop and verifier, requests. Whoever listens first holds the
//! address, so a second start fails before it touches anything. A database of somebody else's may be away:
//! requests are answered all the same (`/readyz` with 503), until it comes.
//!
//! Stop: no new connections, requests in flight are answered, ingest commits what it accepted, the loops end,
//! the private PostgreSQL stops. What was acknowledged was committed before, so nothing depends on the stop.
use crate::clock::Clock;
use crate::config::Place;
use crate::db::database::{self, blocking};
use crate::db::pool::{self, PgPool};
use crate::embedded::{self, PrivatePostgres};
use crate::http;
use crate::http::rate::{RateLimits, Rates};
use crate::http::tls::{self, Tls};
use crate::ingest::{Ingest, Limits};
use crate::query::Reading;
use crate::rollup::{verifier, worker};
use crate::telemetry::metrics::Metrics;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub mod admin_token;
mod contact;

/// How long requests and ingest may take to finish when the service stops: more than the HTTP server gives its own.
const STOP_GRACE: Duration = Duration::from_secs(40);

/// What a service is started with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The database.
    pub database: Place,
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The certificate, for TLS; none for plain HTTP.
    pub tls: Option<tls::Files>,
    /// A proxy in front ends TLS: other addresses than loopback may be listened on in plain HTTP.
    pub behind_proxy: bool,
    /// What each token may ask for in a second.
    pub rates: Rates,
    /// Database connections that requests and the loop share.
    pub connections_max: u32,
    /// Whether history that is not covered is covered in the background.
    pub backfills: bool,
    /// Where sums are read.
    pub reading: Reading,
    /// The time.
    pub clock: Clock,
}

impl Settings {
    /// Connections unless told otherwise: enough to keep a small server busy, a fraction of PostgreSQL's default 100.
    pub const CONNECTIONS_MAX: u32 = 16;

    /// The usual settings on `database`.
    pub fn new(database: Place, listen: SocketAddr) -> Self {
        Self {
            database,
            listen,
            tls: None,
            behind_proxy: false,
            rates: Rates::default(),
            connections_max: Self::CONNECTIONS_MAX,
            backfills: true,
            reading: Reading::default(),
            clock: Clock::system(),
        }
    }
}

/// Why a service did not start, or ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Plain HTTP would cross a network.
    #[error(
        "will not listen on {0}: tokens would cross the network unencrypted; listen on 127.0.0.1, give a certificate (--tls-cert and --tls-key), or put a proxy that ends TLS in front and say --behind-proxy"
    )]
    Exposed(SocketAddr),
    /// The address cannot be had.
    #[error("cannot listen on {address}: {}; stop the program that has it or choose another with --listen or TALLYBOOK_LISTEN", reason(.error))]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        error: io::Error,
    },
    /// The database cannot be used.
    #[error(transparent)]
    Database(#[from] database::Error),
    /// The private PostgreSQL cannot be used.
    #[error(transparent)]
    Private(#[from] embedded::Error),
    /// No admin token could be made or kept.
    #[error(transparent)]
    AdminToken(#[from] admin_token::Error),
    /// The certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] tls::Error),
    /// Requests are not answered any more.
    #[error("the HTTP server ended: {0}")]
    Http(io::Error),
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "another program listens there".to_owned(),
        _ => error.to_string(),
    }
}

/// A running service.
#[derive(Debug)]
pub struct Service {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its certificate; none in plain HTTP.
    pub tls: Option<Tls>,
    /// Its database.
    pub pool: PgPool,
    /// The private instance's admin token, a file that only its owner can read.
    pub token_path: Option<PathBuf>,
    http_stop: CancellationToken,
    loop_stop: CancellationToken,
    requests: TaskTracker,
    background: TaskTracker,
    failures: mpsc::Receiver<Error>,
    private: Option<Arc<PrivatePostgres>>,
    private_stop: CancellationToken,
}

impl Service {
    /// Starts everything, and returns when requests are answered.
    pub async fn start(settings: Settings) -> Result<Self, Error> {
        if !settings.listen.ip().is_loopback() && !settings.behind_proxy && settings.tls.is_none() {
            return Err(Error::Exposed(settings.listen));
        }
        let tls = match &settings.tls {
            Some(files) => Some(Tls::load(files.clone()).await?),
            None => None,
        };
        let unheard = |error| Error::Listen { address: settings.listen, error };
        let listener = TcpListener::bind(settings.listen).await.map_err(unheard)?;
        let address = listener.local_addr().map_err(unheard)?;
        match &settings.database {
            Place::Url(url) => {
                let pool = pool::lazy(url.options.clone(), url.direct.clone(), settings.connections_max);
                Self::on(&settings, pool, (listener, address), tls, None).await
            }
            Place::Private(dir) => {
                let dir = dir.clone();
                let private = Arc::new(blocking(move || PrivatePostgres::serve(&dir)).await?);
                let pool = pool::lazy(private.connect_options(), None, settings.connections_max);
                Self::on(&settings, pool, (listener, address), tls, Some(private)).await
            }
        }
    }

    async fn on(
        settings: &Settings,
        pool: PgPool,
        (listener, address): (TcpListener, SocketAddr),
        tls: Option<Tls>,
        private: Option<Arc<PrivatePostgres>>,
    ) -> Result<Self, Error> {
        let (away, token_path) = match contact::first(settings, &pool, private.as_ref()).await {
            Ok(found) => found,
            Err(error) => {
                if let Some(private) = private
                    && let Err(also) = blocking(move || private.stop()).await
                {
                    tracing::warn!(error = %also, "the private PostgreSQL was left running");
                }
                return Err(error);
            }
        };
        let (failed, failures) = mpsc::channel(2);
        let service = Self {
            address,
            tls: tls.clone(),
            pool: pool.clone(),
            token_path,
            http_stop: CancellationToken::new(),
            loop_stop: CancellationToken::new(),
            requests: TaskTracker::new(),
            background: TaskTracker::new(),
            failures,
            private,
            private_stop: CancellationToken::new(),
        };
        if let Some(private) = &service.private {
            // Not one of the tasks that a stop waits for: they may need the server to the last.
            drop(TaskTracker::new().spawn(embedded::keep_running(Arc::clone(private), service.private_stop.clone())));
        }
        let metrics = Arc::new(Metrics::new());
        let ingest =
            Ingest::observed(pool.clone(), settings.clock.clone(), &service.requests, Limits::default(), Arc::clone(&metrics));
        let app = http::App {
            reading: settings.reading,
            rates: RateLimits::new(settings.rates, &settings.clock),
            ..http::App::new(pool.clone(), settings.clock.clone(), ingest, Arc::clone(&metrics))
        };
        if let Some(tls) = tls.clone() {
            let stop = service.http_stop.clone();
            service.background.spawn(async move { tls.keep_fresh(&stop).await });
        }
        let (stop, told) = (service.http_stop.clone(), failed.clone());
        service.requests.spawn(async move {
            if let Err(error) = http::server::serve(listener, app, tls, stop).await {
                tell(&told, Error::Http(error));
            }
        });
        let (stop, place, backfills) = (service.loop_stop.clone(), settings.database.clone(), settings.backfills);
        service.background.spawn(async move {
            let waited = if away { contact::wait(&place, &pool, &stop).await } else { Ok(()) };
            match waited {
                Ok(()) => {
                    let verifying = verifier::run(pool.clone(), stop.clone(), Arc::clone(&metrics));
                    tokio::join!(worker::run(pool, stop, metrics, backfills), verifying);
                }
                Err(error) => tell(&failed, error),
            }
        });
        Ok(service)
    }

    /// Waits until the service cannot go on, and says why. It still has to be stopped.
    pub async fn failed(&mut self) -> Error {
        match self.failures.recv().await {
            Some(error) => error,
            // Every task that could fail ended well: there is nothing to wait for but the stop.
            None => std::future::pending().await,
        }
    }

    /// Stops in order; what was accepted is finished first.
    pub async fn stop(self) -> Result<(), Error> {
        self.http_stop.cancel();
        self.requests.close();
        if tokio::time::timeout(STOP_GRACE, self.requests.wait()).await.is_err() {
            tracing::warn!(
                grace_seconds = STOP_GRACE.as_secs(),
                "requests that did not finish in time were cut off, unacknowledged"
            );
        }
        self.loop_stop.cancel();
        self.background.close();
        if tokio::time::timeout(STOP_GRACE, self.background.wait()).await.is_err() {
            tracing::warn!(
                grace_seconds = STOP_GRACE.as_secs(),
                "a fold or a comparison that did not finish in time was cut off; the next start does the same"
            );
        }
        // A connection that is stuck must not hold the stop: the server rolls back what it was doing.
        drop(tokio::time::timeout(STOP_GRACE, self.pool.close()).await);
        self.private_stop.cancel();
        if let Some(private) = self.private {
            blocking(move || private.stop()).await?;
        }
        Ok(())
    }
}

/// Reports the first failures; later ones say nothing new.
fn tell(failed: &mpsc::Sender<Error>, error: Error) {
    if let Err(mpsc::error::TrySendError::Full(error)) = failed.try_send(error) {
        tracing::error!("{error}");
    }
}
