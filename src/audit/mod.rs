//! The audit log: who did what cannot be undone, or decides who may do what.
//!
//! Owns `tallybook.audit_log`. An entry is written in the transaction of what it tells of: whoever does such a thing calls [`record`]
//! there. What is done by calling the database's functions (rollups declared and dropped, migrations) the database notes itself.
//!
//! Invariant: entries are only added, and hold no secret: neither token nor password, nor what was purged.
mod list;

pub use list::{ActionName, Entry, NoActionName, Page, list};

use crate::db::session::Session;
use serde_json::Value;
use std::fmt;
use std::sync::Arc;
use uuid::Uuid;

/// Something that is noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// An entity was removed with its usage.
    Purge,
    /// A day of a rollup was rebuilt because it differed from raw usage.
    Repair,
    /// Some raw usage of a day was sealed, and removed.
    Seal,
    /// A day's sealed quarter hours became a day.
    Thin,
    /// A partition of which nothing is left was detached.
    Detach,
    /// All that was sealed was deleted.
    Discard,
    /// The objects of the usual design were dropped.
    DropUsualDesign,
    /// A token was made.
    CreateToken,
    /// A token was revoked.
    RevokeToken,
}

impl Action {
    /// Its name, as it is stored and shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Purge => "entity.purge",
            Self::Repair => "rollup.repair",
            Self::Seal => "usage.seal",
            Self::Thin => "usage.thin",
            Self::Detach => "usage.detach",
            Self::Discard => "usage.discard",
            Self::DropUsualDesign => "moving.drop",
            Self::CreateToken => "token.create",
            Self::RevokeToken => "token.revoke",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Who does it, and on which way. The database adds the role that is logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    via: &'static str,
    token: Option<Uuid>,
    request: Option<Arc<str>>,
}

impl Actor {
    /// Somebody at the command line.
    pub fn cli() -> Self {
        Self { via: "cli", token: None, request: None }
    }

    /// The service, by itself.
    pub fn service() -> Self {
        Self { via: "service", token: None, request: None }
    }

    /// The bearer of `token`, by a request.
    pub fn http(token: Uuid, request: Option<Arc<str>>) -> Self {
        Self { via: "http", token: Some(token), request }
    }
}

/// What was done, and to what.
#[derive(Clone, Debug)]
pub struct Event {
    /// What was done.
    pub action: Action,
    /// The workspace that it was done to; `None` where it concerns all.
    pub workspace: Option<Uuid>,
    /// What it was done to.
    pub target: String,
    /// What else is worth knowing: an object, without secrets.
    pub details: Value,
}

/// Notes `event`, in the transaction of what it tells of.
pub async fn record(transaction: &mut Session<'_>, by: &Actor, event: &Event) -> Result<(), sqlx::Error> {
    sqlx::query("select tallybook.record_audit($1, $2, $3, $4, $5, $6, $7)")
        .bind(by.via)
        .bind(by.token)
        .bind(by.request.as_deref())
        .bind(event.action.name())
        .bind(event.workspace)
        .bind(&event.target)
        .bind(&event.details)
        .execute(transaction)
        .await
        .map(drop)
}

#[cfg(test)]
mod tests;
