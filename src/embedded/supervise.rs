//! Keeps the server running while a service needs it.
use super::{Error, PrivatePostgres};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// How often we look; it costs a look into the process table.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long to wait after a start that failed, such as on a full disk.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// Starts `postgres` again whenever it has ended, until `stop`.
pub async fn keep_running(postgres: Arc<PrivatePostgres>, stop: CancellationToken) {
    let mut wait = LOOK_EVERY;
    while stop.run_until_cancelled(sleep(wait)).await.is_some() {
        let revived = Arc::clone(&postgres);
        let revived: Option<Result<bool, Error>> = tokio::task::spawn_blocking(move || revived.revive()).await.ok();
        wait = match revived {
            Some(Ok(false)) => LOOK_EVERY,
            Some(Ok(true)) => {
                tracing::warn!(
                    server.log = %postgres.log_path().display(),
                    "the private PostgreSQL had ended and was started again; what was committed is there"
                );
                LOOK_EVERY
            }
            Some(Err(error)) => {
                tracing::error!(%error, retry_seconds = RETRY_AFTER.as_secs(), "the private PostgreSQL has ended and does not start");
                RETRY_AFTER
            }
            // The runtime is shutting down.
            None => return,
        };
    }
}
