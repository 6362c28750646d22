//! Counters and durations of this process ("instance" metrics), in a registry of their own.
//!
//! What every process would say alike, because it is read from the database ("service" metrics), is made at
//! scrape: `http::metrics`. Counters never go down, and no label carries a name that a client chose.
use crate::ingest;
use crate::rollup::{verifier, worker};
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Upper bounds of the duration buckets, in seconds.
const DURATION_BUCKETS_SECONDS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];
/// Upper bounds of the buckets for reports a commit.
const REPORTS_BUCKETS: [f64; 9] = [1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1_000.0, 3_000.0, 10_000.0];

/// Which requests a counter counts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Request {
    /// HTTP method, `OTHER` for one that we do not know.
    pub method: &'static str,
    /// The route's template, never the path itself.
    pub route: String,
    /// HTTP status.
    pub status: u16,
}

/// Which requests a duration belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Route {
    /// HTTP method, `OTHER` for one that we do not know.
    pub method: &'static str,
    /// The route's template, never the path itself.
    pub route: String,
}

/// What became of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// A new identity.
    Created,
    /// Other counters than stored.
    Replaced,
    /// Just what was stored.
    Unchanged,
    /// Older than what was stored.
    Stale,
    /// Not stored: it was wrong, or its batch was.
    Refused,
}

impl EncodeLabelValue for Outcome {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        let name = match self {
            Self::Created => "created",
            Self::Replaced => "replaced",
            Self::Unchanged => "unchanged",
            Self::Stale => "stale",
            Self::Refused => "refused",
        };
        name.encode(encoder)
    }
}

/// Which reports a counter counts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Reports {
    /// What became of them.
    pub outcome: Outcome,
}

/// The instance's metrics. Cheap to share; every field may be written from anywhere.
pub struct Metrics {
    registry: Registry,
    /// HTTP requests answered.
    pub http_requests: Family<Request, Counter>,
    /// How long answering took.
    pub http_duration_seconds: Family<Route, Histogram>,
    /// HTTP requests being answered now.
    pub http_in_flight: Gauge,
    /// Usage reports, by what became of them.
    pub ingest_reports: Family<Reports, Counter>,
    /// Requests with usage reports, however many each.
    pub ingest_requests: Counter,
    /// From a request's arrival at the committer to its acknowledgement.
    pub ingest_duration_seconds: Histogram,
    /// Transactions that committed reports.
    pub ingest_commits: Counter,
    /// Reports that one transaction committed.
    pub ingest_commit_reports: Histogram,
    /// Folds that this process ran.
    pub fold_ticks: Counter,
    /// Rollup rows that they touched.
    pub fold_rows: Counter,
    /// Folds that failed.
    pub fold_errors: Counter,
    /// How long a fold took.
    pub fold_duration_seconds: Histogram,
    /// Slices of history that this process compared with raw usage.
    pub verify_slices: Counter,
    /// Keys in them.
    pub verify_keys: Counter,
    /// Keys that differed; one that is not mended counts each time that it is looked at.
    pub verify_drifted_keys: Counter,
    /// Slices that could not be compared.
    pub verify_errors: Counter,
    /// How long comparing a slice took.
    pub verify_duration_seconds: Histogram,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// All of them, at zero.
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("tallybook"),
            http_requests: Family::default(),
            http_duration_seconds: Family::new_with_constructor(durations),
            http_in_flight: Gauge::default(),
            ingest_reports: Family::default(),
            ingest_requests: Counter::default(),
            ingest_duration_seconds: durations(),
            ingest_commits: Counter::default(),
            ingest_commit_reports: Histogram::new(REPORTS_BUCKETS),
            fold_ticks: Counter::default(),
            fold_rows: Counter::default(),
            fold_errors: Counter::default(),
            fold_duration_seconds: durations(),
            verify_slices: Counter::default(),
            verify_keys: Counter::default(),
            verify_drifted_keys: Counter::default(),
            verify_errors: Counter::default(),
            verify_duration_seconds: durations(),
        };
        metrics.register_http();
        metrics.register_ingest();
        metrics.register_fold();
        metrics.register_verify();
        metrics
    }

    /// The metrics that this process counts.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Notes a request that has been answered.
    pub fn record_request(&self, method: &'static str, route: &str, status: u16, duration: Duration) {
        let route = route.to_owned();
        self.http_duration_seconds.get_or_create(&Route { method, route: route.clone() }).observe(duration.as_secs_f64());
        self.http_requests.get_or_create(&Request { method, route, status }).inc();
    }

    fn register_http(&mut self) {
        let registry = &mut self.registry;
        registry.register("http_requests", "HTTP requests answered", self.http_requests.clone());
        registry.register_with_unit(
            "http_duration",
            "How long answering an HTTP request took",
            Unit::Seconds,
            self.http_duration_seconds.clone(),
        );
        registry.register("http_in_flight", "HTTP requests being answered now", self.http_in_flight.clone());
    }

    fn register_ingest(&mut self) {
        let registry = &mut self.registry;
        registry.register("ingest_requests", "Requests with usage reports", self.ingest_requests.clone());
        registry.register("ingest_reports", "Usage reports, by what became of them", self.ingest_reports.clone());
        registry.register_with_unit(
            "ingest_duration",
            "From a request's arrival at the committer to its acknowledgement",
            Unit::Seconds,
            self.ingest_duration_seconds.clone(),
        );
        registry.register("ingest_commits", "Transactions that committed usage reports", self.ingest_commits.clone());
        registry.register(
            "ingest_commit_reports",
            "Usage reports that one transaction committed",
            self.ingest_commit_reports.clone(),
        );
    }

    fn register_fold(&mut self) {
        let registry = &mut self.registry;
        registry.register("fold_ticks", "Folds run", self.fold_ticks.clone());
        registry.register("fold_rows", "Rollup rows that folds touched", self.fold_rows.clone());
        registry.register("fold_errors", "Folds that failed", self.fold_errors.clone());
        registry.register_with_unit("fold_duration", "How long a fold took", Unit::Seconds, self.fold_duration_seconds.clone());
    }

    fn register_verify(&mut self) {
        let registry = &mut self.registry;
        registry.register("verify_slices", "Slices of history compared with raw usage", self.verify_slices.clone());
        registry.register("verify_keys", "Keys compared with raw usage", self.verify_keys.clone());
        registry.register(
            "verify_drifted_keys",
            "Keys that differed from raw usage, counted each time that they were compared",
            self.verify_drifted_keys.clone(),
        );
        registry.register("verify_errors", "Slices that could not be compared", self.verify_errors.clone());
        registry.register_with_unit(
            "verify_duration",
            "How long comparing a slice took",
            Unit::Seconds,
            self.verify_duration_seconds.clone(),
        );
    }
}

/// The continuous verifier tells each of its slices.
impl verifier::Observer for Arc<Metrics> {
    fn verified(&self, keys: i64, drifted_keys: i64, duration: Duration) {
        self.verify_slices.inc();
        self.verify_keys.inc_by(u64::try_from(keys).unwrap_or(0));
        self.verify_drifted_keys.inc_by(u64::try_from(drifted_keys).unwrap_or(0));
        self.verify_duration_seconds.observe(duration.as_secs_f64());
    }

    fn could_not_verify(&self) {
        self.verify_errors.inc();
    }
}

/// The fold loop tells each of its ticks.
impl worker::Observer for Arc<Metrics> {
    fn folded(&self, rows: i64, duration: Duration) {
        self.fold_ticks.inc();
        self.fold_rows.inc_by(u64::try_from(rows).unwrap_or(0));
        self.fold_duration_seconds.observe(duration.as_secs_f64());
    }

    fn failed(&self) {
        self.fold_ticks.inc();
        self.fold_errors.inc();
    }
}

/// Ingest tells each of its commits.
impl ingest::Observer for Arc<Metrics> {
    fn committed(&self, _requests: usize, reports: usize) {
        self.ingest_commits.inc();
        self.ingest_commit_reports.observe(u32::try_from(reports).map_or(f64::INFINITY, f64::from));
    }
}

fn durations() -> Histogram {
    Histogram::new(DURATION_BUCKETS_SECONDS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::encoding::text::encode;

    #[test]
    fn what_is_counted_is_in_the_text() {
        let metrics = Metrics::new();
        metrics.record_request("GET", "/v1/tasks/{id}", 200, Duration::from_millis(3));
        metrics.ingest_reports.get_or_create(&Reports { outcome: Outcome::Created }).inc_by(7);
        let mut text = String::new();
        encode(&mut text, metrics.registry()).unwrap();
        for line in [
            r#"tallybook_http_requests_total{method="GET",route="/v1/tasks/{id}",status="200"} 1"#,
            r#"tallybook_http_duration_seconds_bucket{le="0.005",method="GET",route="/v1/tasks/{id}"} 1"#,
            r#"tallybook_ingest_reports_total{outcome="created"} 7"#,
            "tallybook_fold_errors_total 0",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }
}
