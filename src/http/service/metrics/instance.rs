//! What this process holds at the moment of a scrape: connections and reports that wait.
use crate::db::pool::Connections;
use crate::http::App;
use crate::telemetry::metrics::PREFIX;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InState {
    state: &'static str,
}

pub(super) fn registry(app: &App) -> Registry {
    let mut registry = Registry::with_prefix(PREFIX);
    let mut gauge = |name: &str, help: &str, value: usize| {
        let gauge = Gauge::<i64>::default();
        gauge.set(value.try_into().unwrap_or(i64::MAX));
        registry.register(name, help, gauge);
    };
    gauge("ingest_queue_reports", "Usage reports that wait to be committed, or are under way", app.ingest.depth());
    gauge(
        "ingest_queue_requests",
        "Requests whose usage reports wait to be committed, or are under way",
        app.ingest.depth_requests(),
    );
    let Connections { busy, idle, max } = app.pool.connections();
    gauge("pool_connections_max", "Database connections that this process may have", max);
    let connections = Family::<InState, Gauge>::default();
    registry.register("pool_connections", "Database connections of this process", connections.clone());
    for (state, number) in [("idle", idle), ("busy", busy)] {
        connections.get_or_create(&InState { state }).set(number.try_into().unwrap_or(i64::MAX));
    }
    registry
}
