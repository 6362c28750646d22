//! Rows of others that refer to raw usage by a foreign key: what becomes of them when usage is sealed.
use super::run::Error;
use crate::db::session::Session;
use jiff_sqlx::Date as SqlDate;
use sqlx::AssertSqlSafe;
use std::fmt;

/// What a foreign key does when the row that it refers to goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum OnDelete {
    /// It does not let it go.
    Refuse,
    /// It deletes what refers to it.
    Cascade,
    /// It takes the reference away.
    SetNull,
    /// It lets it refer to what is the default.
    SetDefault,
}

/// A foreign key that refers to raw usage.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Reference {
    /// The table whose rows refer to usage.
    pub table: String,
    /// The name of the key.
    pub constraint: String,
    /// What it does when usage goes.
    pub on_delete: OnDelete,
    /// Whether the table is one of those that usage is counted from.
    pub is_source: bool,
    /// Its rows that refer to usage that is to be sealed; none where this role may not read them.
    pub rows: Option<i64>,
}

impl Reference {
    /// Whether usage is not sealed for it. `may_act`: keys may do to their tables' rows what they say.
    pub fn is_in_the_way(&self, may_act: bool) -> bool {
        match self.on_delete {
            OnDelete::Refuse => self.rows != Some(0),
            // Whoever allows that means rows that are not counted.
            OnDelete::Cascade if self.is_source => self.rows != Some(0),
            _ => !may_act,
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = match self.rows {
            Some(1) => "1 row".to_owned(),
            Some(rows) => format!("{rows} rows"),
            None => "nobody knows how many rows (this role may not read them)".to_owned(),
        };
        write!(f, "{rows} of {} by {}, ", self.table, self.constraint)?;
        f.write_str(match (self.on_delete, self.is_source) {
            (OnDelete::Refuse, _) => {
                "which does not let them go: delete or detach those rows first, give the key an ON DELETE CASCADE or SET NULL, or keep that usage longer"
            }
            (OnDelete::Cascade, true) => "which would change what is counted: drop the key, or keep that usage longer",
            (OnDelete::Cascade, _) => "which would delete them, too: say --follow-foreign-keys if that is meant",
            (OnDelete::SetNull | OnDelete::SetDefault, _) => {
                "which would take the reference out of them: say --follow-foreign-keys if that is meant"
            }
        })
    }
}

type Row = (String, String, OnDelete, bool, Option<String>);

/// Finds the keys that refer to usage, and counts what refers to usage before that day.
pub(super) async fn references(on: &mut Session<'_>, before: SqlDate) -> Result<Vec<Reference>, sqlx::Error> {
    let found: Vec<Row> = sqlx::query_as(include_str!("references.sql")).fetch_all(&mut *on).await?;
    let mut references = Vec::new();
    for (table, constraint, on_delete, is_source, count) in found {
        let rows = match count {
            Some(count) => Some(sqlx::query_scalar(AssertSqlSafe(count)).bind(before).fetch_one(&mut *on).await?),
            None => None,
        };
        references.push(Reference { table, constraint, on_delete, is_source, rows });
    }
    Ok(references)
}

/// Fails where any stands in the way.
pub(super) fn require_none_in_the_way(references: &[Reference], may_act: bool) -> Result<(), Error> {
    let in_the_way: Vec<Reference> = references.iter().filter(|reference| reference.is_in_the_way(may_act)).cloned().collect();
    if in_the_way.is_empty() { Ok(()) } else { Err(Error::Referred(in_the_way)) }
}
