//! Reading the audit log, newest first.
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde::Serialize;
use serde_json::Value;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgExecutor, Row};
use std::str::FromStr;
use utoipa::ToSchema;
use uuid::Uuid;

/// Something that was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = AuditEntry)]
pub struct Entry {
    /// Names it; `after` for the next page.
    pub id: Uuid,
    /// When it was done.
    pub occurred_at: Timestamp,
    /// What was done.
    #[schema(example = "token.create")]
    pub action: String,
    /// What it was done to.
    pub target: String,
    /// The workspace that it was done to; null where it concerns all.
    pub workspace_id: Option<Uuid>,
    /// On which way: `http`, `cli`, `service`, or `database` for statements of anybody's.
    #[schema(example = "http")]
    pub via: String,
    /// The role that was logged in to the database.
    pub role: String,
    /// The token of the request.
    pub token_id: Option<Uuid>,
    /// Its name at that time.
    pub token_name: Option<String>,
    /// The request's id.
    pub request_id: Option<String>,
    /// What else is worth knowing.
    #[schema(value_type = Object)]
    pub details: Value,
}

impl FromRow<'_, PgRow> for Entry {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            occurred_at: row.try_get::<jiff_sqlx::Timestamp, _>("occurred_at")?.into(),
            action: row.try_get("action")?,
            target: row.try_get("target")?,
            workspace_id: row.try_get("workspace_id")?,
            via: row.try_get("via")?,
            role: row.try_get("role")?,
            token_id: row.try_get("token_id")?,
            token_name: row.try_get("token_name")?,
            request_id: row.try_get("request_id")?,
            details: row.try_get("details")?,
        })
    }
}

/// The name of an action: one of [`Action`](super::Action)'s, or one that the database notes itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionName(String);

/// Why a text is none.
#[derive(Debug, thiserror::Error)]
#[error("the name of an action, such as token.create")]
pub struct NoActionName;

impl FromStr for ActionName {
    type Err = NoActionName;

    fn from_str(text: &str) -> Result<Self, NoActionName> {
        let is_name =
            (1..=100).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_lowercase() || b"._".contains(&byte));
        if is_name { Ok(Self(text.to_owned())) } else { Err(NoActionName) }
    }
}

/// Which entries to list.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// Only what was done to this workspace.
    pub workspace: Option<Uuid>,
    /// Only this action, by its name.
    pub action: Option<ActionName>,
    /// Nothing older.
    pub since: Option<Timestamp>,
    /// Only what comes after this entry, that is, what is older.
    pub after: Option<Uuid>,
    /// At most so many.
    pub limit: i64,
}

/// The entries of one page, newest first.
pub async fn list(on: impl PgExecutor<'_>, page: &Page) -> Result<Vec<Entry>, sqlx::Error> {
    sqlx::query_as(include_str!("list.sql"))
        .bind(page.workspace)
        .bind(page.action.as_ref().map(|name| &name.0))
        .bind(page.since.map(|since| since.max(Timestamp::UNIX_EPOCH).to_sqlx())) // the database knows no time before its own
        .bind(page.after)
        .bind(page.limit)
        .fetch_all(on)
        .await
}
