//! Commits a group of requests, and keeps one request's failure from the others.
use super::error::Error;
use super::queue::{Answer, Batch, Request};
use super::transaction::{self, Failure};
use crate::clock::Clock;
use crate::db::error::{Cause, cause};
use rand::RngExt;
use sqlx::PgPool;
use std::sync::Arc;
use std::time::Duration;

/// How often a transaction that lost against another one is tried.
const ATTEMPTS_MAX: u32 = 6;
/// The longest wait before a second attempt; doubled before each further one.
const JITTER: Duration = Duration::from_millis(10);

/// Commits `group` in one transaction and answers each request.
///
/// When the database refuses the whole, each request is tried alone: only what is to blame fails. When the
/// database is away there is nothing to try.
pub(super) async fn commit(pool: PgPool, clock: Clock, group: Vec<Request>) {
    let batches: Vec<&Batch> = group.iter().map(|request| &request.batch).collect();
    let answers = match attempt(&pool, &clock, &batches).await {
        Ok(answers) => answers,
        Err(failure) if group.len() == 1 || failure.is_outage() => fail(failure, group.len()),
        Err(failure) => {
            tracing::warn!(ingest.requests = group.len(), ?failure, "a group of reports was refused: storing each request alone");
            one_by_one(&pool, &clock, &batches).await
        }
    };
    for (request, answer) in group.into_iter().zip(answers) {
        // A sender that no longer waits will send again.
        drop(request.answer.send(answer));
    }
}

async fn one_by_one(pool: &PgPool, clock: &Clock, batches: &[&Batch]) -> Vec<Answer> {
    let mut answers = Vec::with_capacity(batches.len());
    for batch in batches {
        match attempt(pool, clock, &[batch]).await {
            Ok(answer) => answers.extend(answer),
            Err(failure) if failure.is_outage() => {
                let rest = batches.len() - answers.len();
                answers.extend(fail(failure, rest));
                break;
            }
            Err(failure) => answers.extend(fail(failure, 1)),
        }
    }
    answers
}

/// The same failure for `requests` requests, logged once.
fn fail(failure: Failure, requests: usize) -> Vec<Answer> {
    tracing::error!(ingest.requests = requests, ?failure, "reports could not be stored; their senders were told so");
    let error = match failure {
        Failure::Raced => Error::Busy,
        Failure::Lost(error) | Failure::Database(error) => Error::Database(Arc::new(error)),
    };
    (0..requests).map(|_| Err(error.clone())).collect()
}

impl Failure {
    fn is_outage(&self) -> bool {
        matches!(self, Self::Database(error) if cause(error) == Cause::Unavailable)
    }
}

/// Stores `batches` in one transaction, again when it lost against another one.
async fn attempt(pool: &PgPool, clock: &Clock, batches: &[&Batch]) -> Result<Vec<Answer>, Failure> {
    let mut jitter = JITTER;
    for _ in 1..ATTEMPTS_MAX {
        match transaction::store(pool, clock.now(), batches).await {
            Err(failure @ (Failure::Raced | Failure::Lost(_))) => tracing::debug!(?failure, "trying a group of reports again"),
            done => return done,
        }
        let wait = rand::rng().random_range(Duration::ZERO..jitter);
        tokio::time::sleep(wait).await;
        jitter *= 2;
    }
    transaction::store(pool, clock.now(), batches).await
}
