//! Revoking a token.
use super::Record;
use crate::audit::{self, Action, Actor, Event};
use crate::clock::Clock;
use crate::db::pool::PgPool;
use jiff_sqlx::ToSqlx;
use serde_json::json;
use uuid::Uuid;

/// Makes a token open nothing, from now on; `None` when there is no such token. Revoking again changes nothing and keeps the first time.
pub async fn revoke(pool: &PgPool, clock: &Clock, by: &Actor, id: Uuid) -> Result<Option<Record>, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let revoked: Option<Record> = sqlx::query_as(
        "update tallybook.access_token
         set revoked_at = $2
         where id = $1 and revoked_at is null
         returning id, name, workspace_id, scopes, created_at, expires_at, revoked_at",
    )
    .bind(id)
    .bind(clock.now().to_sqlx())
    .fetch_optional(&mut *transaction)
    .await?;
    if let Some(record) = revoked {
        let (target, details) = (format!("token {id}"), json!({ "name": record.name }));
        let event = Event { action: Action::RevokeToken, workspace: record.workspace, target, details };
        audit::record(&mut transaction, by, &event).await?;
        transaction.commit().await?;
        return Ok(Some(record));
    }
    sqlx::query_as(
        "select id, name, workspace_id, scopes, created_at, expires_at, revoked_at from tallybook.access_token where id = $1",
    )
    .bind(id)
    .fetch_optional(&mut *transaction)
    .await
}
