//! Making a token.
use super::{Error, Record, Scope, Secret};
use crate::clock::Clock;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::PgPool;
use uuid::Uuid;

/// Length of a token's name.
pub(super) const NAME_CHARACTERS_MAX: usize = 200;

/// What a new token is to be.
#[derive(Clone, Debug)]
pub struct New {
    /// What to call it: who uses it, and where.
    pub name: String,
    /// The only workspace that it opens; `None` opens all.
    pub workspace: Option<Uuid>,
    /// What it may be used for.
    pub scopes: Vec<Scope>,
    /// From when on it opens nothing; `None` for as long as it is not revoked.
    pub expires_at: Option<Timestamp>,
}

/// Makes a token and returns its text, which cannot be had again, with what is kept of it.
pub async fn create(pool: &PgPool, clock: &Clock, new: New) -> Result<(Secret, Record), Error> {
    let now = clock.now();
    let scopes = check(&new, now)?;
    let secret = Secret::random();
    let record = sqlx::query_as(include_str!("create.sql"))
        .bind(Uuid::new_v4())
        .bind(new.name.trim())
        .bind(secret.digest())
        .bind(new.workspace)
        .bind(scopes)
        .bind(now.to_sqlx())
        .bind(new.expires_at.map(ToSqlx::to_sqlx))
        .fetch_optional(pool)
        .await?;
    match (record, new.workspace) {
        (Some(record), _) => Ok((secret, record)),
        (None, Some(id)) => Err(Error::UnknownWorkspace { id }),
        (None, None) => Err(Error::Database(sqlx::Error::RowNotFound)),
    }
}

/// Refuses a token that makes no sense; gives the names of its scopes, each once.
fn check(new: &New, now: Timestamp) -> Result<Vec<&'static str>, Error> {
    let name = new.name.trim();
    if name.is_empty() || name.chars().count() > NAME_CHARACTERS_MAX || name.chars().any(char::is_control) {
        return Err(Error::Name);
    }
    if let Some(expires_at) = new.expires_at.filter(|at| *at <= now) {
        return Err(Error::Expired { expires_at });
    }
    let mut scopes = new.scopes.clone();
    scopes.sort_unstable();
    scopes.dedup();
    if scopes.is_empty() {
        return Err(Error::NoScope);
    }
    Ok(scopes.into_iter().map(Scope::name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn new(name: &str, scopes: &[Scope]) -> New {
        New { name: name.into(), workspace: None, scopes: scopes.to_vec(), expires_at: None }
    }

    #[tokio::test]
    async fn only_the_digest_is_kept() {
        let database = testing::database().await;
        let (secret, record) =
            create(&database.pool, &Clock::system(), new(" ci ", &[Scope::Read, Scope::Ingest, Scope::Read])).await.unwrap();
        assert_eq!((record.name.as_str(), record.scopes.as_slice()), ("ci", [Scope::Ingest, Scope::Read].as_slice()));
        let stored: String =
            sqlx::query_scalar("select t::text from tallybook.access_token t").fetch_one(&database.pool).await.unwrap();
        assert!(!stored.contains(secret.reveal()) && !stored.contains(&secret.reveal()[6..]));
    }

    #[tokio::test]
    async fn nonsense_is_refused_with_its_reason() {
        let database = testing::database().await;
        let clock = Clock::fixed("2026-03-01T00:00:00Z".parse().unwrap());
        let refused = async |new| create(&database.pool, &clock, new).await.unwrap_err().to_string();
        assert!(refused(new("", &[Scope::Read])).await.contains("name"));
        assert!(refused(new("a\nb", &[Scope::Read])).await.contains("control"));
        assert!(refused(new("a", &[])).await.contains("scope"));
        let past = New { expires_at: Some("2026-02-28T23:59:59Z".parse().unwrap()), ..new("a", &[Scope::Read]) };
        assert!(refused(past).await.contains("past"));
        let elsewhere = New { workspace: Some(Uuid::from_u128(7)), ..new("a", &[Scope::Read]) };
        assert!(refused(elsewhere).await.contains("no workspace 00000000-"));
    }
}
