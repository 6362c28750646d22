//! Making a token.
use super::{Error, Record, Scope, Secret};
use crate::audit::{self, Action, Actor, Event};
use crate::clock::Clock;
use crate::db::pool::PgPool;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde_json::json;
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
pub async fn create(pool: &PgPool, clock: &Clock, by: &Actor, new: New) -> Result<(Secret, Record), Error> {
    let secret = Secret::random();
    let record = store(pool, clock, by, &secret, new).await?;
    Ok((secret, record))
}

/// Makes a token of a text that was chosen elsewhere. The same again changes nothing; the text of another token is refused.
pub async fn adopt(pool: &PgPool, clock: &Clock, by: &Actor, secret: &Secret, new: New) -> Result<Record, Error> {
    let mut scopes = new.scopes.clone();
    scopes.sort_unstable();
    scopes.dedup();
    let known: Option<Record> = sqlx::query_as(
        "select id, name, workspace_id, scopes, created_at, expires_at, revoked_at from tallybook.access_token where digest = $1",
    )
    .bind(secret.digest())
    .fetch_optional(pool)
    .await?;
    match known {
        None => store(pool, clock, by, secret, new).await,
        Some(known) if known.revoked_at.is_some() => Err(Error::Revoked { id: known.id }),
        Some(known) if (&known.name, known.workspace, &known.scopes) == (&new.name.trim().to_owned(), new.workspace, &scopes) => {
            Ok(known)
        }
        Some(known) => Err(Error::Taken { id: known.id }),
    }
}

async fn store(pool: &PgPool, clock: &Clock, by: &Actor, secret: &Secret, new: New) -> Result<Record, Error> {
    let now = clock.now();
    let scopes = check(&new, now)?;
    let mut transaction = pool.begin().await?;
    let record: Option<Record> = sqlx::query_as(include_str!("create.sql"))
        .bind(Uuid::new_v4())
        .bind(new.name.trim())
        .bind(secret.digest())
        .bind(new.workspace)
        .bind(scopes)
        .bind(now.to_sqlx())
        .bind(new.expires_at.map(ToSqlx::to_sqlx))
        .fetch_optional(&mut *transaction)
        .await?;
    match (record, new.workspace) {
        (Some(record), _) => {
            let details = json!({ "name": record.name, "scopes": record.scopes, "expires_at": record.expires_at });
            let target = format!("token {}", record.id);
            let event = Event { action: Action::CreateToken, workspace: record.workspace, target, details };
            audit::record(&mut transaction, by, &event).await?;
            transaction.commit().await?;
            Ok(record)
        }
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
            create(&database.pool, &Clock::system(), &Actor::cli(), new(" ci ", &[Scope::Read, Scope::Ingest, Scope::Read]))
                .await
                .unwrap();
        assert_eq!((record.name.as_str(), record.scopes.as_slice()), ("ci", [Scope::Ingest, Scope::Read].as_slice()));
        let stored: String =
            sqlx::query_scalar("select t::text from tallybook.access_token t").fetch_one(&database.pool).await.unwrap();
        assert!(!stored.contains(secret.reveal()) && !stored.contains(&secret.reveal()[6..]));
    }

    #[tokio::test]
    async fn a_text_from_elsewhere_is_a_token_once() {
        let database = testing::database().await;
        let (clock, by) = (Clock::system(), Actor::cli());
        let secret = Secret::random();
        assert!(Secret::given("hunter2").is_none());
        let given = Secret::given(secret.reveal()).unwrap();
        let made = adopt(&database.pool, &clock, &by, &given, new("admin", &[Scope::Admin])).await.unwrap();
        let again = adopt(&database.pool, &clock, &by, &given, new(" admin ", &[Scope::Admin, Scope::Admin])).await.unwrap();
        assert_eq!(again, made);
        let other = adopt(&database.pool, &clock, &by, &given, new("admin", &[Scope::Read])).await.unwrap_err();
        assert!(matches!(other, Error::Taken { id } if id == made.id));
        let access = crate::access::authenticate(&database.pool, &clock, secret.reveal()).await.unwrap().unwrap();
        assert!(access.allows(Scope::Admin));
        crate::access::revoke(&database.pool, &clock, &by, made.id).await.unwrap();
        let revoked = adopt(&database.pool, &clock, &by, &given, new("admin", &[Scope::Admin])).await.unwrap_err();
        assert!(matches!(revoked, Error::Revoked { id } if id == made.id));
    }

    #[tokio::test]
    async fn nonsense_is_refused_with_its_reason() {
        let database = testing::database().await;
        let clock = Clock::fixed("2026-03-01T00:00:00Z".parse().unwrap());
        let refused = async |new| create(&database.pool, &clock, &Actor::cli(), new).await.unwrap_err().to_string();
        assert!(refused(new("", &[Scope::Read])).await.contains("name"));
        assert!(refused(new("a\nb", &[Scope::Read])).await.contains("control"));
        assert!(refused(new("a", &[])).await.contains("scope"));
        let past = New { expires_at: Some("2026-02-28T23:59:59Z".parse().unwrap()), ..new("a", &[Scope::Read]) };
        assert!(refused(past).await.contains("past"));
        let elsewhere = New { workspace: Some(Uuid::from_u128(7)), ..new("a", &[Scope::Read]) };
        assert!(refused(elsewhere).await.contains("no workspace 00000000-"));
    }
}
