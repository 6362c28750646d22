//! The endpoints that all kinds of entities have alike: put, get, list, delete.
#[cfg(test)]
mod adopted;
mod delete;
mod documentation;
mod get;
mod list;
mod put;

use super::super::App;
use super::super::auth::{Admin, Demand, Ingest};
use super::super::error::Problem;
use crate::db::source::Unfit;
use crate::entity::store::Error;
use crate::entity::{Agent, Entity, Issue, Project, Runtime, Task, Workspace};
use std::time::Duration;
use utoipa_axum::router::OpenApiRouter;

/// When to send again what met a table that was being changed.
const CHANGED_RETRY: Duration = Duration::from_secs(1);

/// An entity with endpoints.
pub(in crate::http) trait Resource: Entity {
    /// Who may put one.
    type Put: Demand;
    /// What is said of it in the documentation of `put`.
    const PUT_NOTE: &'static str = "";
    /// What is said of it in the documentation of `delete`.
    const PURGE_NOTE: &'static str = "";
}

impl Resource for Workspace {
    type Put = Admin;
    const PUT_NOTE: &'static str = "Only a token for all workspaces can make one.";
    const PURGE_NOTE: &'static str = "Purging a workspace removes everything in it, and what is sealed of it.";
}
impl Resource for Runtime {
    type Put = Admin;
    const PURGE_NOTE: &'static str =
        "A runtime that agents still name cannot be purged; tasks that ran on it become unattributed.";
}
impl Resource for Agent {
    type Put = Admin;
    const PUT_NOTE: &'static str = "With another `workspace_id` than stored, the agent moves there with all its usage; that takes a token for all workspaces.";
}
impl Resource for Project {
    type Put = Admin;
    const PURGE_NOTE: &'static str = "The issues of a purged project stay, in no project.";
}
impl Resource for Issue {
    type Put = Admin;
    const PURGE_NOTE: &'static str =
        "The tasks on a purged issue go with it. Sealed usage is no longer known by its issue, and stays.";
}
impl Resource for Task {
    type Put = Ingest;
    const PUT_NOTE: &'static str = "With another agent, runtime or issue than stored, the task moves there with all its usage.";
    const PURGE_NOTE: &'static str = "Sealed usage is no longer known by its task, and stays.";
}

/// The endpoints that are answered at once.
pub(in crate::http) fn routes() -> OpenApiRouter<App> {
    fn of<E: Resource>() -> OpenApiRouter<App> {
        OpenApiRouter::new().routes(list::route::<E>()).routes(get::route::<E>()).routes(put::route::<E>())
    }
    of::<Workspace>().merge(of::<Runtime>()).merge(of::<Agent>()).merge(of::<Project>()).merge(of::<Issue>()).merge(of::<Task>())
}

/// The endpoints that may take long.
pub(in crate::http) fn bulk_routes() -> OpenApiRouter<App> {
    fn of<E: Resource>() -> OpenApiRouter<App> {
        OpenApiRouter::new().routes(delete::route::<E>())
    }
    of::<Workspace>().merge(of::<Runtime>()).merge(of::<Agent>()).merge(of::<Project>()).merge(of::<Issue>()).merge(of::<Task>())
}

fn not_found<E: Entity>(id: uuid::Uuid) -> Problem {
    Problem::unseen(E::ONE, id)
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let detail = error.to_string();
        match error {
            Error::NoSuchReference(reference) => Self::not_found(detail).with("field", reference.field),
            Error::ReferenceGone => Self::conflict("reference_gone", detail),
            Error::SlugTaken => Self::conflict("slug_taken", detail).with("field", "slug"),
            Error::RuntimeInUse => Self::conflict("runtime_in_use", detail),
            Error::Unfit(Unfit::Lacks { column, .. }) => Self::conflict("column_missing", detail).with("field", column),
            Error::Unfit(_) => Self::conflict("not_writable", detail),
            Error::WouldStay(_) | Error::StillReferenced(_) => Self::conflict("still_referenced", detail),
            Error::Refused(_) => Self::conflict("refused_by_source", detail),
            Error::Changed => Self::unavailable("conflicting_change", detail, CHANGED_RETRY),
            Error::Database(error) => error.into(),
        }
    }
}
