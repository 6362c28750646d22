//! How much ingest takes on at once.
use std::time::Duration;

/// Bounds of the queue, of a group, and of the time that a request may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Reports of one request.
    pub request_reports_max: usize,
    /// Requests that may wait or be under way; one more is refused as busy.
    pub queue_requests_max: usize,
    /// Reports that may wait or be under way, in all requests together.
    pub queue_reports_max: usize,
    /// Reports that are committed together; a single request may have more.
    pub group_reports_max: usize,
    /// Groups that are written at the same time, each on a connection of its own.
    pub groups_at_once_max: usize,
    /// How long a request may take from its arrival to its commit.
    pub request_time_max: Duration,
}

impl Limits {
    /// Reports of one request, unless told otherwise.
    pub const REPORTS_MAX: usize = 10_000;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_reports_max: Self::REPORTS_MAX,
            queue_requests_max: 4_096,
            queue_reports_max: 100_000,
            group_reports_max: 10_000,
            groups_at_once_max: 2,
            request_time_max: Duration::from_secs(20),
        }
    }
}
