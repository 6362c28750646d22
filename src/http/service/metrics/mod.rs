//! `GET /metrics`: what this process counts, and, read at that moment, how the database stands.
//!
//! A scrape is bounded: [`probe_timeout`](crate::http::limits::Limits::probe_timeout) for all of it, half of that for each of its few
//! short transactions, and one at a time reads the database, however many scrape. What cannot be read is left out, and a gauge says so:
//! nothing stale is shown.
use crate::http::App;
use crate::http::error::Problem;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use parts::{PARTS, Part, Read};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::fmt;
use tokio::time::timeout;

mod gauges;
mod instance;
mod parts;

const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfPart {
    part: &'static str,
}

/// Metrics for Prometheus
///
/// Counters of this process (`tallybook_http_*`, `tallybook_ingest_*`, `tallybook_fold_*`, `tallybook_backfill_*`,
/// `tallybook_verify_*`, `tallybook_pool_*`) and the state of the database (`tallybook_service_*`), which every process shows alike. While
/// the database is away `tallybook_service_database_up` is 0 and the others of the second kind are missing.
#[utoipa::path(get, path = "/metrics", tag = "service", responses(
    (status = 200, body = String, content_type = "application/openmetrics-text", description = "OpenMetrics text."),
))]
pub(super) async fn metrics(State(app): State<App>) -> Result<Response, Problem> {
    let mut text = String::new();
    let service = service(&app).await;
    encode_registry(&mut text, app.metrics.registry())
        .and_then(|()| encode_registry(&mut text, &instance::registry(&app)))
        .and_then(|()| encode_registry(&mut text, &service))
        .and_then(|()| encode_eof(&mut text))
        .map_err(|fmt::Error| Problem::internal())?;
    Ok(([(CONTENT_TYPE, MEDIA_TYPE)], text).into_response())
}

/// What the database tells, as far as it does in time.
async fn service(app: &App) -> Registry {
    let mut registry = Registry::with_prefix("tallybook_service");
    let (up, complete) = (Gauge::<i64>::default(), Family::<OfPart, Gauge>::default());
    registry.register("database_up", "Whether the database answers", up.clone());
    registry.register("part_read", "Whether this part of the state of the database could be read", complete.clone());
    let mut read = Vec::with_capacity(PARTS.len());
    // What was read until time was up is shown.
    if timeout(app.limits.probe_timeout, read_all(app, &mut read)).await.is_err() {
        tracing::warn!(parts.read = read.len(), parts.all = PARTS.len(), "the database did not tell its state in time");
    }
    up.set((!read.is_empty()).into());
    for part in PARTS {
        let was_read = read.iter().any(|(done, _)| *done == part);
        complete.get_or_create(&OfPart { part: part.name() }).set(was_read.into());
    }
    for (_, told) in read {
        gauges::register(told, &mut registry);
    }
    registry
}

async fn read_all(app: &App, read: &mut Vec<(Part, Read)>) {
    let _turn = app.scrape.lock().await;
    for part in PARTS {
        match app.presence.while_there(parts::read(&app.pool, part, app.limits.probe_timeout / 2)).await {
            Ok(told) => read.push((part, told)),
            Err(error) => {
                tracing::warn!(part = part.name(), %error, "a part of the state of the database cannot be shown");
                if crate::db::error::cause(&error) == crate::db::error::Cause::Unavailable {
                    return; // the others would wait as long for nothing
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
