//! What a token may be used for.
use serde::{Deserialize, Serialize};
use sqlx::Row;
use sqlx::postgres::PgRow;
use std::fmt;
use std::str::FromStr;

/// One thing that a token may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Report usage, and say where its tasks stand.
    Ingest,
    /// Read usage and what it is attributed to.
    Read,
    /// Everything, within the token's workspace.
    Admin,
}

impl Scope {
    /// Its name, as it is stored and typed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Read => "read",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A word that names no scope.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no scope: ingest, read or admin")]
pub struct UnknownScope(String);

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        match text {
            "ingest" => Ok(Self::Ingest),
            "read" => Ok(Self::Read),
            "admin" => Ok(Self::Admin),
            _ => Err(UnknownScope(text.to_owned())),
        }
    }
}

/// The column `scopes` of a row.
pub(super) fn decode(row: &PgRow) -> Result<Vec<Scope>, sqlx::Error> {
    let names: Vec<String> = row.try_get("scopes")?;
    let scope =
        |name: &String| name.parse().map_err(|e| sqlx::Error::ColumnDecode { index: "scopes".into(), source: Box::new(e) });
    names.iter().map(scope).collect()
}
