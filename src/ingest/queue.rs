//! The way in: a bounded queue in front of the groups.
use super::commit::{Committer, Observer};
use super::dispatch;
use super::error::{Error, FAULTS_MAX, Fault, FaultCode};
use super::limits::Limits;
use super::report::{Outcome, Report};
use crate::access::Access;
use crate::clock::Clock;
use crate::db::pool::PgPool;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_util::task::TaskTracker;
use tracing::Span;
use uuid::Uuid;

/// Takes reports and stores them. Clones share one queue.
#[derive(Clone, Debug)]
pub struct Ingest {
    /// Bounded by `room`.
    queue: mpsc::UnboundedSender<Request>,
    room: Room,
    hasher: RandomState,
    limits: Limits,
}

/// Reports to be stored together or not at all.
#[derive(Debug)]
pub(super) struct Batch {
    /// The only workspace that the caller sees; `None` sees all.
    pub(super) workspace: Option<Uuid>,
    pub(super) reports: Vec<Report>,
}

/// What becomes of a batch.
pub(super) type Answer = Result<Vec<Outcome>, Error>;

/// A batch that waits for its answer.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) batch: Batch,
    /// Hashes of the identities. Two that differ by chance only wait for each other in vain.
    pub(super) identities: Vec<u64>,
    pub(super) answer: oneshot::Sender<Answer>,
    /// What its sender does meanwhile, for whoever follows it.
    pub(super) span: Span,
    _place: Place,
}

/// Permits for what waits or is under way.
#[derive(Clone, Debug)]
struct Room {
    requests: Arc<Semaphore>,
    reports: Arc<Semaphore>,
}

/// A request's part of the room, given back when it has been answered.
#[derive(Debug)]
struct Place {
    _request: OwnedSemaphorePermit,
    _reports: OwnedSemaphorePermit,
}

impl Room {
    fn enter(&self, reports: usize) -> Option<Place> {
        let reports = u32::try_from(reports).ok()?;
        Some(Place {
            _request: Arc::clone(&self.requests).try_acquire_owned().ok()?,
            _reports: Arc::clone(&self.reports).try_acquire_many_owned(reports).ok()?,
        })
    }
}

impl Ingest {
    /// Starts ingest on `tracker`. It ends when all clones are dropped and all that was taken is answered.
    pub fn start(pool: PgPool, clock: Clock, tracker: &TaskTracker, limits: Limits) -> Self {
        Self::observed(pool, clock, tracker, limits, ())
    }

    /// Starts ingest that tells `observer` of each commit.
    pub fn observed(
        pool: PgPool,
        clock: Clock,
        tracker: &TaskTracker,
        limits: Limits,
        observer: impl Observer + 'static,
    ) -> Self {
        let (queue, requests) = mpsc::unbounded_channel();
        tracker.spawn(dispatch::run(Committer::new(pool, clock, observer), limits, requests));
        let room = Room {
            requests: Arc::new(Semaphore::new(limits.queue_requests_max)),
            reports: Arc::new(Semaphore::new(limits.queue_reports_max)),
        };
        Self { queue, room, hasher: RandomState::new(), limits }
    }

    /// Refuses a number of reports that one request may not have.
    pub fn check_size(&self, reports: usize) -> Result<(), Error> {
        match reports {
            0 => Err(Error::Empty),
            given if given > self.limits.request_reports_max => {
                Err(Error::TooMany { given, max: self.limits.request_reports_max })
            }
            _ => Ok(()),
        }
    }

    /// Stores `reports` for `caller`, all or none, and says what became of each, after the commit.
    ///
    /// Cancelled while it waits, nothing is stored; cancelled later, it may be.
    pub async fn submit(&self, caller: &Access, reports: Vec<Report>) -> Answer {
        self.check_size(reports.len())?;
        refuse_duplicates(&reports)?;
        let place = self.room.enter(reports.len()).ok_or(Error::Busy)?;
        let (answer, answered) = oneshot::channel();
        let identities = reports.iter().map(|report| self.hasher.hash_one(report.identity())).collect();
        let request = Request {
            batch: Batch { workspace: caller.workspace, reports },
            identities,
            answer,
            span: Span::current(),
            _place: place,
        };
        self.queue.send(request).map_err(|_| Error::Closed)?;
        match tokio::time::timeout(self.limits.request_time_max, answered).await {
            Ok(Ok(answer)) => answer,
            // Its group has died without an answer.
            Ok(Err(_)) => Err(Error::Interrupted),
            Err(_) => Err(Error::TimedOut),
        }
    }

    /// Reports that wait or are under way.
    pub fn depth(&self) -> usize {
        self.limits.queue_reports_max - self.room.reports.available_permits()
    }

    /// Requests that wait or are under way.
    pub fn depth_requests(&self) -> usize {
        self.limits.queue_requests_max - self.room.requests.available_permits()
    }
}

/// The same identity twice in one request has no order to decide by.
fn refuse_duplicates(reports: &[Report]) -> Result<(), Error> {
    let mut first = HashMap::with_capacity(reports.len());
    let mut faults = Vec::new();
    for (index, report) in reports.iter().enumerate() {
        match first.entry(report.identity()) {
            Entry::Vacant(entry) => {
                entry.insert(index);
            }
            Entry::Occupied(entry) if faults.len() < FAULTS_MAX => faults.push(Fault {
                index,
                field: String::new(),
                code: FaultCode::DuplicateIdentity,
                reason: format!("has the same task, provider, model and event key as reports[{}]: send one of them", entry.get()),
            }),
            Entry::Occupied(_) => {}
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(Error::Invalid(faults)) }
}

#[cfg(test)]
impl Request {
    /// One of that many reports, and where it is answered.
    pub(super) fn of(identities: &[u64]) -> (Self, oneshot::Receiver<Answer>) {
        let room = Room { requests: Arc::new(Semaphore::new(1)), reports: Arc::new(Semaphore::new(identities.len())) };
        let (answer, answered) = oneshot::channel();
        let request = Self {
            batch: Batch { workspace: None, reports: Vec::new() },
            identities: identities.to_vec(),
            answer,
            span: Span::none(),
            _place: room.enter(identities.len()).unwrap(),
        };
        (request, answered)
    }
}
