//! Counters and durations of this process ("instance" metrics), in a registry of their own.
//!
//! What every process would say alike, because it is read from the database ("service" metrics), is made at
//! scrape: `http::service::metrics`. Counters never go down, and no label carries a name that a client chose. Every metric is in
//! docs/OPERATIONS.md; a test compares.
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use std::fmt;

pub mod http;
pub mod ingest;
pub mod upkeep;

/// What the names of all metrics begin with.
pub const PREFIX: &str = "tallybook";
/// Upper bounds of the duration buckets, in seconds.
const DURATION_BUCKETS_SECONDS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

/// The instance's metrics. Cheap to share; every field may be written from anywhere.
pub struct Metrics {
    registry: Registry,
    /// Requests over HTTP.
    pub http: http::Http,
    /// Usage reports.
    pub ingest: ingest::Reports,
    /// What the fold loop does.
    pub fold: upkeep::Fold,
    /// Its slices of backfill.
    pub backfill: upkeep::Backfill,
    /// The continuous verification.
    pub verify: upkeep::Verify,
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
        let mut registry = Registry::with_prefix(PREFIX);
        registry.register("build", "The version of Tallybook", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        super::database::register(&mut registry);
        Self {
            http: http::Http::registered(&mut registry),
            ingest: ingest::Reports::registered(&mut registry),
            fold: upkeep::Fold::registered(&mut registry),
            backfill: upkeep::Backfill::registered(&mut registry),
            verify: upkeep::Verify::registered(&mut registry),
            registry,
        }
    }

    /// The metrics that this process counts.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }
}

/// A histogram of durations in seconds.
pub(super) fn durations() -> Histogram {
    Histogram::new(DURATION_BUCKETS_SECONDS)
}

#[cfg(test)]
mod tests {
    use super::ingest::{Outcome, OutcomeLabel};
    use super::*;
    use prometheus_client::encoding::text::encode;
    use std::time::Duration;

    #[test]
    fn what_is_counted_is_in_the_text() {
        let metrics = Metrics::new();
        metrics.http.record("GET", "/v1/tasks/{id}", 200, Duration::from_millis(3));
        metrics.ingest.reports.get_or_create(&OutcomeLabel { outcome: Outcome::Created }).inc_by(7);
        let mut text = String::new();
        encode(&mut text, metrics.registry()).unwrap();
        for line in [
            r#"tallybook_http_requests_total{method="GET",route="/v1/tasks/{id}",status="200"} 1"#,
            r#"tallybook_http_duration_seconds_bucket{le="0.005",method="GET",route="/v1/tasks/{id}"} 1"#,
            r#"tallybook_ingest_reports_total{outcome="created"} 7"#,
            r#"tallybook_ingest_reports_total{outcome="failed"} 0"#,
            "tallybook_fold_errors_total 0",
            concat!("tallybook_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }
}
