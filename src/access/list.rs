//! Listing the tokens.
use super::Record;
use crate::db::pool::PgPool;

/// Every token there ever was, oldest first; those that open nothing any more, too.
pub async fn list(pool: &PgPool) -> Result<Vec<Record>, sqlx::Error> {
    sqlx::query_as(
        "select id, name, workspace_id, scopes, created_at, expires_at, revoked_at
         from tallybook.access_token
         order by created_at, id",
    )
    .fetch_all(pool)
    .await
}
