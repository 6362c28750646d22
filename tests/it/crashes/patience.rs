//! Waiting for something that has to happen, and not for ever. What is counted is looks: a machine that is busy, or was asleep,
//! takes longer for them, too.
use std::time::Duration;
use tallybook::db::error::{Cause, cause};

/// A minute of looks on a machine that has nothing else to do.
const LOOKS_MAX: u32 = 6_000;
const POLL: Duration = Duration::from_millis(10);

/// Looks until there is something.
pub(super) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..LOOKS_MAX {
        if let Some(found) = look() {
            return found;
        }
        std::thread::sleep(POLL);
    }
    panic!("waited in vain for {what}");
}

/// Asks a database, which may be away for a while, until it has an answer.
pub(super) async fn ask<T, F>(what: &str, mut question: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<Option<T>, sqlx::Error>>,
{
    let mut said = String::new();
    for _ in 0..LOOKS_MAX {
        said = match question().await {
            Ok(Some(answer)) => return answer,
            Ok(None) => "not yet".to_owned(),
            Err(error) if matches!(cause(&error), Cause::Unavailable | Cause::Conflict) => error.to_string(),
            Err(error) => panic!("{what}: {error}"),
        };
        tokio::time::sleep(POLL).await;
    }
    panic!("waited in vain for {what}: {said}");
}
