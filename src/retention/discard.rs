//! Giving up what was sealed.
use crate::audit::{self, Action, Actor, Event};
use crate::db::pool::PgPool;
use serde_json::json;

/// Deletes all sealed usage, for good: every total follows. The audit log keeps that it was done.
pub async fn discard(pool: &PgPool, by: &Actor) -> Result<(), sqlx::Error> {
    let mut tx = pool.begin().await?;
    let usage = sqlx::query("delete from tallybook.sealed_usage").execute(&mut *tx).await?.rows_affected();
    let identities = sqlx::query("delete from tallybook.sealed_identity").execute(&mut *tx).await?.rows_affected();
    let details = json!({"sealed_rows": usage, "identities": identities});
    let event = Event { action: Action::Discard, workspace: None, target: "all sealed usage".to_owned(), details };
    audit::record(&mut tx, by, &event).await?;
    tx.commit().await
}
