//! `tallybook serve`: runs the service until it is told to stop.
use super::reads::Reads;
use super::signals::{Hangups, Stops};
use super::{Context, Outcome, failure};
use crate::http::rate::Rates;
use crate::http::tls::Files;
use crate::service::{Service, Settings};
use std::io::{IsTerminal, stdin};
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;

const AFTER_HELP: &str = "\
Without DATABASE_URL it starts a private PostgreSQL in the data directory, makes an admin token at its first start (`tallybook token admin` prints it), and stops PostgreSQL when it stops. With DATABASE_URL it uses that; while the database is away it keeps trying, and /readyz says so. Missing migrations are applied either way.

With --tls-cert and --tls-key it speaks TLS. New files are taken up within seconds, at once on SIGHUP, and no connection is dropped for that; a pair that will not do is told of in the log, and the old one stays.

SIGINT and SIGTERM stop it in order: what was accepted is committed and answered first. A second one cuts it off.

Examples:
  tallybook serve
  tallybook serve --listen 127.0.0.1:9000
  tallybook serve --listen 0.0.0.0:8443 --tls-cert tls.crt --tls-key tls.key
  DATABASE_URL=postgres://tallybook:...@db/tallybook tallybook serve --listen 0.0.0.0:8080 --behind-proxy";

/// Start the service: HTTP API, ingest and the fold loop.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, env = "TALLYBOOK_LISTEN", hide_env_values = true, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// The certificate, and those that lead to a trusted one, in PEM: speak TLS.
    #[arg(long, env = "TALLYBOOK_TLS_CERT", hide_env_values = true, value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key, in PEM.
    #[arg(long, env = "TALLYBOOK_TLS_KEY", hide_env_values = true, value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// A proxy that ends TLS is in front: allow listening on other addresses than loopback, in plain HTTP.
    #[arg(long, env = "TALLYBOOK_BEHIND_PROXY", hide_env_values = true, value_name = "true|false", num_args = 0..=1, require_equals = true,
        action = clap::ArgAction::Set, default_missing_value = "true", default_value_t = false, hide_possible_values = true)]
    behind_proxy: bool,
    /// Database connections that requests, ingest and the fold loop share.
    #[arg(long, env = "TALLYBOOK_CONNECTIONS", hide_env_values = true, value_name = "N", default_value_t = Settings::CONNECTIONS_MAX,
        value_parser = clap::value_parser!(u32).range(4..=1000))]
    connections: u32,
    /// Requests that each token may make in a second, ten seconds' worth at once after a rest; 0 sets no limit.
    #[arg(long, env = "TALLYBOOK_RATE_LIMIT_REQUESTS_PER_SECOND", hide_env_values = true, value_name = "N", default_value_t = 0,
        value_parser = clap::value_parser!(u32).range(0..=RATE_MAX))]
    rate_limit_requests_per_second: u32,
    /// Usage reports that each token may send in a second, ten seconds' worth or a full request at once after a rest; 0 sets no limit.
    #[arg(long, env = "TALLYBOOK_RATE_LIMIT_REPORTS_PER_SECOND", hide_env_values = true, value_name = "N", default_value_t = 0,
        value_parser = clap::value_parser!(u32).range(0..=RATE_MAX))]
    rate_limit_reports_per_second: u32,
    /// Cover history that the rollups do not hold yet, slowly; false: `tallybook backfill` does when it is told to.
    #[arg(long, env = "TALLYBOOK_BACKGROUND_BACKFILL", hide_env_values = true, value_name = "true|false", num_args = 0..=1, require_equals = true,
        action = clap::ArgAction::Set, default_missing_value = "true", default_value_t = true, hide_possible_values = true)]
    background_backfill: bool,
    #[command(flatten)]
    reads: Reads,
}

/// The most that a rate limit can be; whoever wants more sets none.
const RATE_MAX: i64 = 1_000_000;

/// Serves until a signal or a failure ends it.
pub(super) async fn run(arguments: Arguments, context: &mut Context) -> anyhow::Result<Outcome> {
    let tls = match (arguments.tls_cert, arguments.tls_key) {
        (Some(certificate), Some(key)) => Some(Files { certificate, key }),
        (None, None) => None,
        _ => anyhow::bail!(
            "TLS takes both a certificate and its key: give --tls-cert and --tls-key (TALLYBOOK_TLS_CERT, TALLYBOOK_TLS_KEY)"
        ),
    };
    let (mut stops, mut hangups) = signals(tls.is_some())?;
    let settings = Settings {
        tls,
        rates: Rates {
            requests: NonZeroU32::new(arguments.rate_limit_requests_per_second),
            reports: NonZeroU32::new(arguments.rate_limit_reports_per_second),
        },
        behind_proxy: arguments.behind_proxy,
        connections_max: arguments.connections,
        backfills: arguments.background_backfill,
        reading: arguments.reads.reading(),
        clock: context.clock.clone(),
        ..Settings::new(context.config.database.clone(), arguments.listen)
    };
    let mut service = tokio::select! {
        started = Box::pin(Service::start(settings)) => started?,
        () = stops.next() => return Ok(Outcome::Done),
    };
    announce(&service, context)?;
    let served = loop {
        tokio::select! {
            () = stops.next() => break Ok(Outcome::Done),
            error = service.failed() => break Err(error.into()),
            () = hangups.next() => {
                if let Some(tls) = &service.tls {
                    tls.reload().await;
                } else {
                    tracing::info!("there is no certificate to read again");
                }
            }
        }
    };
    tracing::info!("stopping; another signal cuts it off");
    let stopped = tokio::select! {
        stopped = Box::pin(service.stop()) => stopped.map_err(Into::into),
        () = stops.next() => Err(failure::cut_off()),
    };
    failure::both(served, stopped)
}

/// What stops it, and what makes it read its certificate again. SIGHUP stops it only where it comes from the terminal that it was
/// started in.
fn signals(has_certificate: bool) -> std::io::Result<(Stops, Hangups)> {
    if has_certificate || !stdin().is_terminal() {
        Ok((Stops::but_hangups()?, Hangups::listen()?))
    } else {
        Ok((Stops::listen()?, Hangups::none()))
    }
}

fn announce(service: &Service, context: &mut Context) -> anyhow::Result<()> {
    let (scheme, address) = (if service.tls.is_some() { "https" } else { "http" }, service.address);
    context.out.line(format_args!("Tallybook listens on {scheme}://{address}, its data is in {}.", context.config.database))?;
    match &service.token_path {
        Some(path) => context.out.line(format_args!("Admin token: {} (`tallybook token admin` prints it).", path.display()))?,
        None => context.out.line("Tokens: `tallybook token create --help` tells how to make one.")?,
    }
    // Whoever started it and waits for these lines may read them through a pipe.
    context.out.finish()?;
    Ok(())
}
