//! Revoking a token.
use super::Record;
use crate::clock::Clock;
use jiff_sqlx::ToSqlx;
use sqlx::PgPool;
use uuid::Uuid;

/// Makes a token open nothing, from now on; `None` when there is no such token. Revoking again keeps the first time.
pub async fn revoke(pool: &PgPool, clock: &Clock, id: Uuid) -> Result<Option<Record>, sqlx::Error> {
    sqlx::query_as(
        "update tallybook.access_token
         set revoked_at = coalesce(revoked_at, $2)
         where id = $1
         returning id, name, workspace_id, scopes, created_at, expires_at, revoked_at",
    )
    .bind(id)
    .bind(clock.now().to_sqlx())
    .fetch_optional(pool)
    .await
}
