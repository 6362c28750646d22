//! What usage is attributed to: workspaces, runtimes, agents, projects, issues and tasks.
//!
//! One file describes each kind (its columns, its body, what it refers to); [`store`] does the same with all of
//! them. Whether a caller may is decided by the caller's workspace, which every statement here is given: `None`
//! stands for all.
//!
//! Invariant: nothing outside `viewer` is read, changed or removed, nor moved into it.
mod agent;
mod issue;
mod name;
mod project;
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
    /// How they are read and written.
    const SQL: Statements;

    /// Its id.
    fn id(&self) -> Uuid;

    /// What `body` names and must therefore exist, within the caller's view.
    fn references(body: &Self::Body) -> Vec<Reference>;

    /// Whether a caller bound to `viewer` may make one with this `id`.
    fn may_make(_viewer: Option<Uuid>, _id: Uuid) -> bool {
        true
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
    /// Marks one as archived.
    pub archive: &'static str,
    /// Removes one, and by the foreign keys all that hangs on it; the last statement removes the row itself.
    pub purge: &'static [&'static str],
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
    (table: $table:literal, name: $name:literal, from: $from:literal, workspace: $workspace:literal, columns: $columns:literal, put: $put:literal, purge: [$($purge:literal),*]) => {
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
            archive: concat!("update ", $table, " set deleted_at = coalesce(deleted_at, $2) where id = $1"),
            purge: &[$($purge,)* concat!("delete from ", $table, " where id = $1")],
        }
    };
}
use statements;
