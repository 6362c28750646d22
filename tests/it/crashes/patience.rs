//! Waiting for something that has to happen, and for no longer than it may take on a busy machine.
use std::time::{Duration, Instant};
use tallybook::db::error::{Cause, cause};

const PATIENCE: Duration = Duration::from_mins(1);
/// How often to look.
const POLL: Duration = Duration::from_millis(10);

/// Looks until there is something.
pub(super) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(POLL);
    }
}

/// Asks a database, which may be away for a while, until it has an answer.
pub(super) async fn ask<T, F>(what: &str, mut question: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<Option<T>, sqlx::Error>>,
{
    let began = Instant::now();
    loop {
        let said = match question().await {
            Ok(Some(answer)) => return answer,
            Ok(None) => "not yet".to_owned(),
            Err(error) if matches!(cause(&error), Cause::Unavailable | Cause::Conflict) => error.to_string(),
            Err(error) => panic!("{what}: {error}"),
        };
        assert!(began.elapsed() < PATIENCE, "waited in vain for {what}: {said}");
        tokio::time::sleep(POLL).await;
    }
}
