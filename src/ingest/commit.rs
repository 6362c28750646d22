//! Commits a group of requests, and keeps one request's failure from the others.
use super::error::Error;
use super::queue::{Answer, Batch, Request};
use super::transaction::{self, Failure};
use crate::clock::Clock;
use crate::db::error::{Cause, cause};
use crate::db::pool::PgPool;
use crate::db::source;
use crate::telemetry::span;
use rand::RngExt;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::{Instrument, Span};

/// How often a transaction that lost against another one is tried.
const ATTEMPTS_MAX: u32 = 6;

/// What is told of each commit.
pub trait Observer: Send + Sync {
    /// `reports` reports of `requests` requests were committed in one transaction; with all its attempts it took so long.
    fn committed(&self, requests: usize, reports: usize, duration: Duration);
    /// A transaction lost against another one, and is tried again.
    fn retried(&self);
    /// A transaction was given up.
    fn gave_up(&self);
}

/// Nobody is told.
impl Observer for () {
    fn committed(&self, _: usize, _: usize, _: Duration) {}
    fn retried(&self) {}
    fn gave_up(&self) {}
}

/// Writes groups to the database.
#[derive(Clone)]
pub(super) struct Committer {
    pool: PgPool,
    clock: Clock,
    observer: Arc<dyn Observer>,
}

impl Committer {
    pub(super) fn new(pool: PgPool, clock: Clock, observer: impl Observer + 'static) -> Self {
        Self { pool, clock, observer: Arc::new(observer) }
    }

    /// Commits `group` in one transaction and answers each request.
    ///
    /// When the database refuses the whole, each request is tried alone: only what is to blame fails. When the
    /// database is away there is nothing to try.
    pub(super) async fn commit(&self, group: Vec<Request>) {
        let span = span::store_reports(group.iter().map(|request| &request.span));
        self.commit_traced(group).instrument(span).await;
    }

    async fn commit_traced(&self, group: Vec<Request>) {
        let batches: Vec<&Batch> = group.iter().map(|request| &request.batch).collect();
        let answers = match self.attempt(&batches).await {
            Ok(answers) => answers,
            Err(failure) if group.len() == 1 || failure.is_outage() => fail(failure, group.len()),
            Err(failure) => {
                tracing::warn!(
                    ingest.requests = group.len(),
                    ?failure,
                    "a group of reports was refused: storing each request alone"
                );
                self.one_by_one(&batches).await
            }
        };
        for (request, answer) in group.into_iter().zip(answers) {
            // A sender that no longer waits will send again.
            drop(request.answer.send(answer));
        }
    }

    async fn one_by_one(&self, batches: &[&Batch]) -> Vec<Answer> {
        let mut answers = Vec::with_capacity(batches.len());
        let mut rest = batches;
        while let [batch, later @ ..] = rest {
            match self.attempt(&[batch]).await {
                Ok(answer) => answers.extend(answer),
                Err(failure) if failure.is_outage() => {
                    answers.extend(fail(failure, rest.len()));
                    break;
                }
                Err(failure) => answers.extend(fail(failure, 1)),
            }
            rest = later;
        }
        answers
    }

    /// Stores `batches` in one transaction, again when it lost against another one.
    async fn attempt(&self, batches: &[&Batch]) -> Result<Vec<Answer>, Failure> {
        let began = Instant::now();
        let mut attempts = 1;
        let answers = loop {
            match transaction::store(&self.pool, self.clock.now(), batches).await {
                Err(failure @ (Failure::Raced | Failure::Lost(_))) if attempts < ATTEMPTS_MAX => {
                    self.observer.retried();
                    tracing::debug!(error = %failure, "trying a group of reports again");
                }
                Err(failure) => {
                    self.observer.gave_up();
                    Span::current().record("otel.status_code", "ERROR");
                    return Err(failure);
                }
                Ok(answers) => break answers,
            }
            let wait = rand::rng().random_range(Duration::ZERO..longest_wait(attempts));
            tokio::time::sleep(wait).await;
            attempts += 1;
        };
        let reports = answers.iter().map(|answer| answer.as_ref().map_or(0, Vec::len)).sum();
        self.observer.committed(batches.len(), reports, began.elapsed());
        Ok(answers)
    }
}

/// How long to wait at most after so many attempts that lost: each time twice as long.
fn longest_wait(attempts: u32) -> Duration {
    Duration::from_millis(5) * 2_u32.pow(attempts)
}

/// The same failure for `requests` requests, logged once.
fn fail(failure: Failure, requests: usize) -> Vec<Answer> {
    tracing::error!(ingest.requests = requests, error = %failure, "reports could not be stored; their senders were told so");
    let error = match failure {
        Failure::Raced => Error::Busy,
        Failure::Lost(error) | Failure::Database(error) => {
            source::refusal(&error).map_or_else(|| Error::Database(Arc::new(error)), Error::Refused)
        }
    };
    (0..requests).map(|_| Err(error.clone())).collect()
}

impl Failure {
    fn is_outage(&self) -> bool {
        matches!(self, Self::Database(error) if cause(error) == Cause::Unavailable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_lost_waits_ever_longer() {
        let waits: Vec<_> = (1..ATTEMPTS_MAX).map(|attempts| longest_wait(attempts).as_millis()).collect();
        assert_eq!(waits, [10, 20, 40, 80, 160]);
    }
}
