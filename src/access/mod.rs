//! Who may call, and for what: bearer tokens, their scopes, and the workspace that they open.
//!
//! A token is 32 random bytes, shown once; the database keeps its SHA-256 only. Every request looks its
//! token up, so that a revocation holds from the next request on. What HTTP makes of it is in [`crate::http::auth`].
mod authenticate;
mod create;
mod list;
mod revoke;
mod scope;
mod secret;

pub use authenticate::authenticate;
pub use create::{New, adopt, create};
pub use list::list;
pub use revoke::revoke;
pub use scope::{Scope, UnknownScope};
pub use secret::Secret;

use jiff::Timestamp;
use serde::Serialize;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row};
use uuid::Uuid;

/// What a caller may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// The token that the caller showed.
    pub token_id: Uuid,
    /// The only workspace that it opens; `None` opens all.
    pub workspace: Option<Uuid>,
    /// What it may be used for.
    pub scopes: Vec<Scope>,
}

impl Access {
    /// Whether the caller may do what `scope` allows; [`Scope::Admin`] implies the others.
    pub fn allows(&self, scope: Scope) -> bool {
        self.scopes.iter().any(|own| *own == scope || *own == Scope::Admin)
    }

    /// Whether the caller may know of `workspace` at all.
    pub fn sees(&self, workspace: Uuid) -> bool {
        self.workspace.is_none_or(|own| own == workspace)
    }
}

/// What is known of a token: everything but its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Record {
    /// Its id, which names it without opening anything.
    pub id: Uuid,
    /// What its maker called it.
    pub name: String,
    /// The only workspace that it opens; `None` opens all.
    pub workspace: Option<Uuid>,
    /// What it may be used for.
    pub scopes: Vec<Scope>,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it opens nothing.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

impl FromRow<'_, PgRow> for Record {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let time = |column| row.try_get::<Option<jiff_sqlx::Timestamp>, _>(column).map(|t| t.map(Timestamp::from));
        Ok(Self {
            id: row.try_get("id")?,
            name: row.try_get("name")?,
            workspace: row.try_get("workspace_id")?,
            scopes: scope::decode(row)?,
            created_at: row.try_get::<jiff_sqlx::Timestamp, _>("created_at")?.into(),
            expires_at: time("expires_at")?,
            revoked_at: time("revoked_at")?,
        })
    }
}

/// Why a token could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The name is empty, too long, or has control characters.
    #[error("a token's name is 1 to {max} characters, none of them a control character", max = create::NAME_CHARACTERS_MAX)]
    Name,
    /// It would be good for nothing.
    #[error("a token needs at least one scope: ingest, read or admin")]
    NoScope,
    /// It would have expired before it was made.
    #[error("a token cannot expire in the past: {expires_at} is over")]
    Expired {
        /// The time that was asked for.
        expires_at: Timestamp,
    },
    /// There is no such workspace to bind it to.
    #[error("there is no workspace {id} to bind the token to")]
    UnknownWorkspace {
        /// The id that was asked for.
        id: Uuid,
    },
    /// The text is that of another token.
    #[error(
        "this text is that of token {id} already, which has another name, other scopes or another workspace; choose another text"
    )]
    Taken {
        /// The other token.
        id: Uuid,
    },
    /// The text is that of a token that was revoked.
    #[error("this text is that of token {id}, which was revoked for good; choose another text")]
    Revoked {
        /// That token.
        id: Uuid,
    },
    /// The database refused or went away.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}
