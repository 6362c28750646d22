//! Least rights: what a database role needs to run the service, and nothing else.
//!
//! The role that ran `tallybook migrate up` owns schema `tallybook` and the functions in it, which run with its rights; the service needs no
//! more than to call some of them, to read views, and to write what is reported. `serve.sql` is the one list of that: grants are
//! printed from it, checks are made by it, and `docs/SECURITY.md` refers to it.
use sqlx::{FromRow, PgExecutor};

/// What is needed on one object.
#[derive(Clone, Debug, PartialEq, Eq, FromRow, serde::Serialize)]
pub struct Right {
    /// What the object is: database, schema, table (a view, too) or function.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// What is needed, by commas.
    pub privileges: String,
    /// Whether the role has all of it.
    pub is_held: bool,
    /// The statement that grants it.
    pub statement: String,
}

/// What `role` needs to run the service on this database, and whether it has it.
pub async fn of_service(on: impl PgExecutor<'_>, role: &str) -> Result<Vec<Right>, sqlx::Error> {
    sqlx::query_as(include_str!("serve.sql")).bind(role).fetch_all(on).await
}
