//! Usage reports: what becomes of them, and how they are committed.
//!
//! Tokens are not counted: a counter cannot go down, and corrections do. What was used is what the now-views say.
use super::{Metrics, durations};
use crate::ingest;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Upper bounds of the buckets for numbers of reports and requests.
const NUMBER_BUCKETS: [f64; 9] = [1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1_000.0, 3_000.0, 10_000.0];

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
    /// Of usage that retention has sealed.
    Sealed,
    /// Not stored: it was wrong, or its batch was.
    Refused,
    /// Not stored, or not known to be: its sender was told to send it again.
    Failed,
}

impl Outcome {
    const ALL: [Self; 7] =
        [Self::Created, Self::Replaced, Self::Unchanged, Self::Stale, Self::Sealed, Self::Refused, Self::Failed];
}

impl EncodeLabelValue for Outcome {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        let name = match self {
            Self::Created => "created",
            Self::Replaced => "replaced",
            Self::Unchanged => "unchanged",
            Self::Stale => "stale",
            Self::Sealed => "sealed",
            Self::Refused => "refused",
            Self::Failed => "failed",
        };
        name.encode(encoder)
    }
}

/// Which reports a counter counts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OutcomeLabel {
    /// What became of them.
    pub outcome: Outcome,
}

/// Usage reports.
pub struct Reports {
    /// Reports, by what became of them.
    pub reports: Family<OutcomeLabel, Counter>,
    /// Requests with reports, however many each.
    pub requests: Counter,
    /// Reports of one request.
    pub request_reports: Histogram,
    /// From a request's arrival at the committer to its acknowledgement.
    pub duration_seconds: Histogram,
    /// Transactions that committed reports.
    pub commits: Counter,
    /// Requests that one transaction committed.
    pub commit_requests: Histogram,
    /// Reports that one transaction committed.
    pub commit_reports: Histogram,
    /// How long it took, with all its attempts.
    pub commit_duration_seconds: Histogram,
    /// Further attempts, after another transaction was in the way.
    pub retries: Counter,
    /// Transactions that were given up.
    pub commit_errors: Counter,
}

impl Reports {
    pub(super) fn registered(registry: &mut Registry) -> Self {
        let reports = Self {
            reports: Family::default(),
            requests: Counter::default(),
            request_reports: Histogram::new(NUMBER_BUCKETS),
            duration_seconds: durations(),
            commits: Counter::default(),
            commit_requests: Histogram::new(NUMBER_BUCKETS),
            commit_reports: Histogram::new(NUMBER_BUCKETS),
            commit_duration_seconds: durations(),
            retries: Counter::default(),
            commit_errors: Counter::default(),
        };
        // A rate needs the zero that was before the first one.
        for outcome in Outcome::ALL {
            drop(reports.reports.get_or_create(&OutcomeLabel { outcome }));
        }
        reports.register_requests(registry);
        reports.register_commits(registry);
        reports
    }

    fn register_requests(&self, registry: &mut Registry) {
        registry.register("ingest_requests", "Requests with usage reports", self.requests.clone());
        registry.register("ingest_reports", "Usage reports, by what became of them", self.reports.clone());
        registry.register("ingest_request_reports", "Usage reports of one request", self.request_reports.clone());
        registry.register_with_unit(
            "ingest_duration",
            "From a request's arrival at the committer to its acknowledgement",
            Unit::Seconds,
            self.duration_seconds.clone(),
        );
    }

    fn register_commits(&self, registry: &mut Registry) {
        registry.register("ingest_commits", "Transactions that committed usage reports", self.commits.clone());
        registry.register("ingest_commit_requests", "Requests that one transaction committed", self.commit_requests.clone());
        registry.register("ingest_commit_reports", "Usage reports that one transaction committed", self.commit_reports.clone());
        registry.register_with_unit(
            "ingest_commit_duration",
            "How long a transaction that committed usage reports took, with all its attempts",
            Unit::Seconds,
            self.commit_duration_seconds.clone(),
        );
        registry.register(
            "ingest_retries",
            "Further attempts to store usage reports, after another transaction was in the way",
            self.retries.clone(),
        );
        registry.register(
            "ingest_commit_errors",
            "Transactions with usage reports that were given up; each request of a group is then tried alone",
            self.commit_errors.clone(),
        );
    }

    /// Adds to the reports of which something became.
    pub fn add(&self, outcome: Outcome, reports: u64) {
        self.reports.get_or_create(&OutcomeLabel { outcome }).inc_by(reports);
    }
}

/// Ingest tells of each of its commits.
impl ingest::Observer for Arc<Metrics> {
    fn committed(&self, requests: usize, reports: usize, duration: Duration) {
        self.ingest.commits.inc();
        self.ingest.commit_requests.observe(number(requests));
        self.ingest.commit_reports.observe(number(reports));
        self.ingest.commit_duration_seconds.observe(duration.as_secs_f64());
    }

    fn retried(&self) {
        self.ingest.retries.inc();
    }

    fn gave_up(&self) {
        self.ingest.commit_errors.inc();
    }
}

/// A number as a histogram takes it.
pub(crate) fn number(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}
