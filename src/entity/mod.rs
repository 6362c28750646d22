//! What usage is attributed to: workspaces, runtimes, agents, projects, issues and tasks.
//!
//! One file describes each kind (its columns, its body, what it refers to); [`store`] does the same with all of
//! them. Whether a caller may is decided by the caller's workspace, which every statement here is given: `None`
//! stands for all.
//!
//! Invariant: nothing outside `viewer` is read, changed or removed, nor moved into it.
//!
//! In a database that somebody else has made, the tables are read as they are and written where a row fits ([`adopted`]).
mod adopted;
mod agent;
mod issue;
mod name;
mod project;
pub mod reassign;
mod runtime;
pub mod store;
mod task;
mod workspace;

pub use agent::{Agent, AgentBody};
pub use issue::{Issue, IssueBody};
pub use name::{Name, Provider, Reason, Slug};
pub use project::{Project, ProjectBody};
pub use runtime::{Runtime, RuntimeBody};
pub use task::{Status, Task, TaskBody};
pub use workspace::{Workspace, WorkspaceBody};

use crate::db::source::{Name as Table, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::QueryAs;
use sqlx::{FromRow, Postgres};
use utoipa::ToSchema;
use uuid::Uuid;

/// A kind of thing that usage is attributed to.
pub trait Entity: Serialize + ToSchema + Send + Sync + Unpin + for<'r> FromRow<'r, PgRow> + 'static {
    /// What a client says of one.
    type Body: DeserializeOwned + ToSchema + Send + Sync + 'static;
    /// What one is called.
    const ONE: &'static str;
    /// What many are called, in paths too.
    const MANY: &'static str;
    /// Where they are.
    const TABLE: Table;
    /// How they are read and written.
    const SQL: Statements;
    /// What [`Entity::bind`] says of one, column by column.
    const VALUES: &'static [Put];
    /// The parameter of its labels.
    const LABELS: &'static str;

    /// Its id.
    fn id(&self) -> Uuid;

    /// What `body` names and must therefore exist, within the caller's view.
    fn references(body: &Self::Body) -> Vec<Reference>;

    /// Whether a caller bound to `viewer` may make one with this `id`.
    fn may_make(_viewer: Option<Uuid>, _id: Uuid) -> bool {
        true
    }

    /// Whether `body` says nothing of a column: then the table needs none.
    fn leaves_out(_body: &Self::Body, _column: &str) -> bool {
        false
    }

    /// Binds the parameters of `SQL.put` from the fourth on.
    fn bind(query: PutQuery<Self>, body: Self::Body) -> PutQuery<Self>;
}

/// The statement that stores an entity. Its parameters: id, viewer, now, and what [`Entity::bind`] adds.
pub type PutQuery<E> = QueryAs<'static, Postgres, store::Stored<E>, PgArguments>;

/// The statements of one kind of entity.
#[derive(Clone, Copy, Debug)]
pub struct Statements {
    /// One by id, within a viewer.
    pub get: &'static str,
    /// Many, by viewer, archived or not, after an id, up to a number.
    pub list: &'static str,
    /// The workspace that an id belongs to.
    pub workspace: &'static str,
    /// The name and the labels of one by id, within a viewer, and the time of the statement.
    pub subject: &'static str,
    /// Makes or replaces one.
    pub put: &'static str,
    /// What [`Statements::put`] shows of one; `e` is the row.
    pub shown: &'static str,
    /// Whether `old`, a row of the table, is within the viewer `$2`.
    pub own: &'static str,
    /// Marks one as archived.
    pub archive: &'static str,
    /// Removes one, by the foreign keys all that hangs on it, and then what is sealed of it: in this order nothing more is sealed of it.
    pub purge: &'static [&'static str],
}

/// A column that a body says something of.
#[derive(Clone, Debug)]
pub struct Put {
    value: Value,
    /// What a row that is there gets, if not the same.
    replaced: Option<&'static str>,
}

impl Put {
    const fn needed(column: &'static str, sql: &'static str) -> Self {
        Self { value: Value::needed(column, sql), replaced: None }
    }

    const fn time(column: &'static str, sql: &'static str) -> Self {
        Self { value: Value::wanted_time(column, sql), replaced: None }
    }

    const fn replaced_by(mut self, sql: &'static str) -> Self {
        self.replaced = Some(sql);
        self
    }
}

/// An id that a body names.
#[derive(Clone, Copy, Debug)]
pub struct Reference {
    /// The field that names it.
    pub field: &'static str,
    /// What it is the id of.
    pub kind: &'static str,
    /// The id.
    pub id: Uuid,
    workspace_sql: &'static str,
}

impl Reference {
    fn to<E: Entity>(field: &'static str, id: Uuid) -> Self {
        Self { field, kind: E::ONE, id, workspace_sql: E::SQL.workspace }
    }
}

/// The statements that differ by table and columns only. `e` is the row, `$workspace` whose it is.
macro_rules! statements {
    (table: $table:literal, name: $name:literal, from: $from:literal, workspace: $workspace:literal, columns: $columns:literal, put: $put:literal, own: $own:literal, purge: [$($purge:literal),*], sealed: [$($sealed:literal),*]) => {
        $crate::entity::Statements {
            get: concat!(
                "select ", $columns, ", e.labels, e.created_at, e.deleted_at as archived_at from ", $from,
                " where e.id = $1 and ($2::uuid is null or ", $workspace, " = $2)"
            ),
            list: concat!(
                "select ", $columns, ", e.labels, e.created_at, e.deleted_at as archived_at from ", $from,
                " where ($1::uuid is null or ", $workspace, " = $1) and ($2 or e.deleted_at is null)",
                " and ($3::uuid is null or e.id > $3) order by e.id limit $4"
            ),
            workspace: concat!("select ", $workspace, " from ", $from, " where e.id = $1"),
            subject: concat!(
                "select statement_timestamp() as as_of, ", $name, " as name, e.labels from ", $from,
                " where e.id = $1 and ($2::uuid is null or ", $workspace, " = $2)"
            ),
            put: include_str!($put),
            shown: concat!(
                "select ", $columns, ", e.labels, e.created_at, e.deleted_at as archived_at, e.created from ", $from
            ),
            own: $own,
            archive: concat!("update ", $table, " set deleted_at = coalesce(deleted_at, $2) where id = $1"),
            purge: &[
                $($purge,)*
                concat!("delete from ", $table, " where id = $1"),
                $(concat!("select tallybook.purge_sealed('", $sealed, "', $1)"),)*
            ],
        }
    };
}
use statements;
