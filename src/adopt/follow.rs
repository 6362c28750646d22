//! Following the host's migrations: renamed columns are found again, and tables that were rewritten are verified anew.
use super::{Error, is_adopted, session};
use crate::db::pool::PgPool;
use sqlx::{Connection, Executor};

/// What was followed.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Follow {
    /// How columns differed from those that were captured.
    pub changes: Vec<String>,
    /// Whether changes had been missed, so that all days are read from raw until they are covered again.
    pub is_uncovered: bool,
}

/// Follows what has changed, whoever runs it: an operator after a migration of the host's.
pub async fn refresh(pool: &PgPool) -> Result<Follow, Error> {
    let mut session = session(pool).await?;
    if !is_adopted(&mut session).await? {
        return Err(Error::Own);
    }
    let mut tx = session.begin().await?;
    // In the order of a fold: its lock comes first.
    tx.execute("select tallybook.wait_for_fold_lock()").await?;
    let changes = sqlx::query_scalar("select tallybook.follow_sources()").fetch_all(&mut *tx).await?;
    let is_uncovered = sqlx::query_scalar("select tallybook.mend_capture()").fetch_one(&mut *tx).await?;
    tx.commit().await?;
    session.close().await?;
    Ok(Follow { changes, is_uncovered })
}

/// The same as a service does it all the time: where something has changed, it is logged.
pub async fn follow(pool: &PgPool) -> Result<(), sqlx::Error> {
    follow_columns(pool).await?;
    let rewritten: Vec<String> = sqlx::query_scalar("select tallybook.notice_rewrites()").fetch_all(pool).await?;
    for table in rewritten {
        tracing::warn!(table, "a source table was rewritten; all days are verified anew");
    }
    Ok(())
}

/// Finds columns again that were renamed, came or went.
pub async fn follow_columns(pool: &PgPool) -> Result<(), sqlx::Error> {
    let changed: bool = sqlx::query_scalar("select exists (select tallybook.source_changes())").fetch_one(pool).await?;
    if changed {
        let followed: Vec<String> = sqlx::query_scalar("select tallybook.follow_sources()").fetch_all(pool).await?;
        for change in followed {
            tracing::warn!(change, "an adopted table was altered; it is captured by its new columns");
        }
    }
    Ok(())
}
