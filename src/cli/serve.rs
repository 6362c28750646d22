//! `tallybook serve`: runs the service until it is told to stop.
use super::signals::Stops;
use super::{Context, Outcome};
use crate::service::{self, Service, Settings};
use std::net::SocketAddr;

const AFTER_HELP: &str = "\
Without DATABASE_URL it starts a private PostgreSQL in the data directory, makes an admin token at its first start (`tallybook token admin` prints it), and stops PostgreSQL when it stops. With DATABASE_URL it uses that; while the database is away it keeps trying, and /readyz says so. Missing migrations are applied either way.

SIGINT and SIGTERM stop it in order: what was accepted is committed and answered first. A second one cuts it off.

Examples:
  tallybook serve
  tallybook serve --listen 127.0.0.1:9000
  DATABASE_URL=postgres://tallybook:...@db/tallybook tallybook serve --listen 0.0.0.0:8080 --behind-proxy";

/// Start the service: HTTP API, ingest and the fold loop.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, env = "TALLYBOOK_LISTEN", hide_env_values = true, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// A proxy that ends TLS is in front: allow listening on other addresses than loopback, in plain HTTP.
    #[arg(long, env = "TALLYBOOK_BEHIND_PROXY", hide_env_values = true)]
    behind_proxy: bool,
    /// Database connections that requests, ingest and the fold loop share.
    #[arg(long, env = "TALLYBOOK_CONNECTIONS", hide_env_values = true, value_name = "N", default_value_t = Settings::CONNECTIONS_MAX,
        value_parser = clap::value_parser!(u32).range(4..=1000))]
    connections: u32,
}

/// Serves until a signal or a failure ends it.
pub(super) async fn run(arguments: Arguments, context: &mut Context) -> anyhow::Result<Outcome> {
    let mut stops = Stops::listen()?;
    let settings = Settings {
        behind_proxy: arguments.behind_proxy,
        connections_max: arguments.connections,
        clock: context.clock.clone(),
        ..Settings::new(context.config.database.clone(), arguments.listen)
    };
    let mut service = tokio::select! {
        started = Box::pin(Service::start(settings)) => started?,
        () = stops.next() => return Ok(Outcome::Done),
    };
    announce(&service, context)?;
    let failure = tokio::select! {
        () = stops.next() => None,
        error = service.failed() => Some(error),
    };
    tracing::info!("stopping; another signal cuts it off");
    tokio::select! {
        stopped = Box::pin(service.stop()) => stopped?,
        () = stops.next() => anyhow::bail!("cut off while stopping; what was acknowledged is committed"),
    }
    failure.map_or(Ok(Outcome::Done), |error: service::Error| Err(error.into()))
}

fn announce(service: &Service, context: &mut Context) -> anyhow::Result<()> {
    let address = service.address;
    context.out.line(format_args!("Tallybook listens on http://{address}, its data is in {}.", context.config.database))?;
    match &service.token_path {
        Some(path) => context.out.line(format_args!("Admin token: {} (`tallybook token admin` prints it).", path.display()))?,
        None => context.out.line("Tokens: `tallybook token create --help` tells how to make one.")?,
    }
    // Whoever started it and waits for these lines may read them through a pipe.
    context.out.finish()?;
    Ok(())
}
