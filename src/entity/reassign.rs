//! All tasks of a runtime, with their usage, become another one's.
use super::store::{self, judged};
use super::{Reference, Runtime};
use crate::db::pool::PgPool;
use crate::db::source::{Name, Source, Unfit};
use uuid::Uuid;

/// Why tasks could not be reassigned.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The tasks' runtime is not there, or not for this caller.
    #[error("there is no runtime {0} that this token may see")]
    NoSuchRuntime(Uuid),
    /// They are of that runtime.
    #[error("to: the tasks are of this very runtime")]
    SameRuntime,
    /// Tasks stay in their workspace.
    #[error("to: the two runtimes are of different workspaces")]
    OtherWorkspace,
    /// What hinders any change.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// The columns that the statement names.
const COLUMNS: [(Name, &str); 3] = [(Name::Task, "runtime_id"), (Name::Task, "agent_id"), (Name::Agent, "workspace_id")];

/// Moves the tasks of `from` to `to`, archived ones too; a bound viewer moves those of its own workspace's agents. Returns how many
/// they were.
pub async fn reassign_tasks(pool: &PgPool, viewer: Option<Uuid>, from: Uuid, to: Uuid) -> Result<u64, Error> {
    let source = pool.source().await.map_err(store::Error::from)?;
    fits(&source)?;
    let mut transaction = pool.begin().await.map_err(store::Error::from)?;
    let mut runtime = async |id| -> Result<Option<Runtime>, store::Error> {
        store::get(&mut *transaction, &source, viewer, id).await.map_err(|error| judged(pool, error))
    };
    let old = runtime(from).await?.ok_or(Error::NoSuchRuntime(from))?;
    let new = runtime(to).await?.ok_or_else(|| store::Error::NoSuchReference(Reference::to::<Runtime>("to", to)))?;
    if from == to {
        return Err(Error::SameRuntime);
    }
    if old.workspace_id != new.workspace_id {
        return Err(Error::OtherWorkspace);
    }
    let moving =
        sqlx::query(include_str!("reassign_tasks.sql")).bind(from).bind(to).bind(viewer).execute(&mut *transaction).await;
    let moved = moving.map_err(|error| judged(pool, error))?.rows_affected();
    transaction.commit().await.map_err(|error| judged(pool, error))?;
    Ok(moved)
}

/// Whether the tables, which somebody else may have made, have what the statement names.
fn fits(source: &Source) -> Result<(), store::Error> {
    for (table, column) in COLUMNS {
        if source.table(table).column(column).is_none() {
            return Err(Unfit::Lacks { table: table.sql(), column }.into());
        }
    }
    Ok(())
}
