//! Telling who calls.
use super::{Access, scope, secret};
use crate::clock::Clock;
use crate::db::pool::PgPool;
use jiff_sqlx::ToSqlx;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row};

/// What the bearer of `token` may do; `None` when it is unknown, expired or revoked.
pub async fn authenticate(pool: &PgPool, clock: &Clock, token: &str) -> Result<Option<Access>, sqlx::Error> {
    if !secret::is_well_formed(token) {
        return Ok(None);
    }
    sqlx::query_as("select id, workspace_id, scopes from tallybook.token_access($1, $2)")
        .bind(secret::digest(token))
        .bind(clock.now().to_sqlx())
        .fetch_optional(pool)
        .await
}

impl FromRow<'_, PgRow> for Access {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self { token_id: row.try_get("id")?, workspace: row.try_get("workspace_id")?, scopes: scope::decode(row)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{New, Scope, Secret, create, list, revoke};
    use crate::audit::Actor;
    use crate::testing;
    use jiff::SignedDuration;
    use uuid::Uuid;

    fn read_only(expires_at: Option<jiff::Timestamp>) -> New {
        New { name: "t".into(), workspace: None, scopes: vec![Scope::Read], expires_at }
    }

    #[tokio::test]
    async fn a_token_opens_what_it_says_until_it_is_revoked() {
        let database = testing::database().await;
        let clock = Clock::system();
        let (secret, record) = create(&database.pool, &clock, &Actor::cli(), read_only(None)).await.unwrap();
        let access = authenticate(&database.pool, &clock, secret.reveal()).await.unwrap().unwrap();
        assert_eq!(access, Access { token_id: record.id, workspace: None, scopes: vec![Scope::Read] });
        assert!(access.allows(Scope::Read) && !access.allows(Scope::Ingest) && !access.allows(Scope::Admin));

        let revoked = revoke(&database.pool, &clock, &Actor::cli(), record.id).await.unwrap().unwrap();
        assert!(revoked.revoked_at.is_some());
        assert_eq!(authenticate(&database.pool, &clock, secret.reveal()).await.unwrap(), None);
        assert_eq!(revoke(&database.pool, &clock, &Actor::cli(), record.id).await.unwrap().unwrap(), revoked);
        assert_eq!(revoke(&database.pool, &clock, &Actor::cli(), Uuid::nil()).await.unwrap(), None);
        assert_eq!(list(&database.pool).await.unwrap(), [revoked]);
    }

    #[tokio::test]
    async fn an_expired_or_unknown_token_opens_nothing() {
        let database = testing::database().await;
        let clock = Clock::fixed("2026-03-01T00:00:00Z".parse().unwrap());
        let until = clock.now() + SignedDuration::from_secs(60);
        let (secret, _) = create(&database.pool, &clock, &Actor::cli(), read_only(Some(until))).await.unwrap();
        clock.advance(SignedDuration::from_secs(59));
        assert!(authenticate(&database.pool, &clock, secret.reveal()).await.unwrap().is_some());
        clock.advance(SignedDuration::from_secs(1));
        assert_eq!(authenticate(&database.pool, &clock, secret.reveal()).await.unwrap(), None);
        assert_eq!(authenticate(&database.pool, &clock, Secret::random().reveal()).await.unwrap(), None);
    }

    #[test]
    fn admin_implies_the_other_scopes_but_no_other_workspace() {
        let access = Access { token_id: Uuid::nil(), workspace: Some(Uuid::from_u128(1)), scopes: vec![Scope::Admin] };
        assert!([Scope::Ingest, Scope::Read, Scope::Admin].into_iter().all(|scope| access.allows(scope)));
        assert!(access.sees(Uuid::from_u128(1)) && !access.sees(Uuid::from_u128(2)));
    }
}
