//! `POST /v1/runtimes/{id}/reassign-tasks`: moves all tasks of a runtime, with their usage, to another one.
use crate::entity::reassign::{self, Error};
use crate::entity::{Entity, Runtime};
use crate::http::App;
use crate::http::auth::{Admin, Caller};
use crate::http::body::Json;
use crate::http::error::Problem;
use crate::http::openapi::ReadProblems;
use crate::http::parameters::Query;
use crate::http::path::Id;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// Where to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Reassignment {
    /// Another runtime of the same workspace.
    to: Uuid,
}

/// What was moved.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Reassigned {
    /// The runtime that the tasks were of.
    from: Uuid,
    /// The runtime that they are of now.
    to: Uuid,
    /// How many they are.
    #[schema(example = 42)]
    tasks: u64,
}

/// Move all tasks of a runtime to another one
///
/// Archived tasks too, each with all its usage; both runtimes' totals follow at once. Agents keep the runtime that
/// they name. A bound token moves the tasks of its own workspace's agents.
#[utoipa::path(
    post, path = "/v1/runtimes/{id}/reassign-tasks", tag = "runtimes", operation_id = "reassign_tasks",
    params(("id" = Uuid, Path, description = "The runtime that the tasks are of.")),
    request_body = Reassignment,
    responses(
        (status = 200, body = Reassigned, description = "Moved."),
        (status = 409, body = ref("#/components/schemas/Problem"), content_type = "application/problem+json",
            description = "The runtimes are of two workspaces, or one and the same: `other_workspace`, `same_runtime`; one was removed meanwhile: \
                `reference_gone`. Or, in an adopted database, the tables do not take it: `column_missing`, `refused_by_source`."),
        (status = 413, body = ref("#/components/schemas/Problem"), content_type = "application/problem+json",
            description = "The body is too large."),
        (status = 415, body = ref("#/components/schemas/Problem"), content_type = "application/problem+json",
            description = "The body is not JSON."),
        ReadProblems,
    ),
    security(("token" = []))
)]
pub(super) async fn reassign_tasks(
    caller: Caller<Admin>,
    State(app): State<App>,
    Id(from): Id,
    Query(()): Query<()>,
    Json(Reassignment { to }, _place): Json<Reassignment>,
) -> Result<axum::Json<Reassigned>, Problem> {
    let tasks = reassign::reassign_tasks(&app.bulk_pool(), caller.workspace, from, to).await?;
    Ok(axum::Json(Reassigned { from, to, tasks }))
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let detail = error.to_string();
        match error {
            Error::NoSuchRuntime(id) => Self::unseen(Runtime::ONE, id),
            Error::SameRuntime => Self::conflict("same_runtime", detail).with("field", "to"),
            Error::OtherWorkspace => Self::conflict("other_workspace", detail).with("field", "to"),
            Error::Store(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::access::Scope;
    use crate::http::testing::{Api, id};
    use serde_json::{Value, json};

    async fn second_runtime(api: &Api) {
        let body = json!({"workspace_id": id("workspace"), "name": "second"});
        api.put(&format!("/v1/runtimes/{}", id("second")), &body).await.assert_status(axum::http::StatusCode::CREATED);
    }

    #[tokio::test]
    async fn all_tasks_move_with_their_usage() {
        let api = Api::start().await;
        api.world().await;
        second_runtime(&api).await;
        api.use_tokens("task", "2026-03-10T09:00:00Z", "opus", 100, None).await;
        let path = format!("/v1/runtimes/{}/reassign-tasks", id("runtime"));
        let moved: Value = api.post(&path, &json!({"to": id("second")})).await.json();
        assert_eq!(moved, json!({"from": id("runtime"), "to": id("second"), "tasks": 1}));
        let input = async |name: &str| {
            let usage: Value = api.get(&format!("/v1/runtimes/{}/usage", id(name))).await.json();
            usage["total"]["input_tokens"].clone()
        };
        assert_eq!((input("runtime").await, input("second").await), (json!(0), json!(100)));
        let again: Value = api.post(&path, &json!({"to": id("second")})).await.json();
        assert_eq!(again["tasks"], 0);
    }

    #[tokio::test]
    async fn nothing_moves_to_where_it_may_not() {
        let api = Api::start().await;
        api.world().await;
        api.other_world().await;
        let path = format!("/v1/runtimes/{}/reassign-tasks", id("runtime"));
        let admin = api.token(Some(id("workspace")), &[Scope::Admin]).await;
        let reader = api.token(Some(id("workspace")), &[Scope::Read, Scope::Ingest]).await;
        let other = json!({"to": id("other runtime")});
        for (response, status, code) in [
            (api.post(&path, &other).await, 409, "other_workspace"),
            (api.with(&admin).post(&path, &other).await, 404, "not_found"),
            (api.post(&path, &json!({"to": id("nowhere")})).await, 404, "not_found"),
            (api.post(&path, &json!({"to": id("runtime")})).await, 409, "same_runtime"),
            (api.post(&path, &json!({"to": "x"})).await, 400, "invalid_field"),
        ] {
            let problem: Value = response.json();
            assert_eq!(
                (response.status_code().as_u16(), &problem["code"], &problem["field"]),
                (status, &code.into(), &"to".into())
            );
        }
        api.with(&reader).post(&path, &other).await.assert_status_forbidden();
        let theirs = format!("/v1/runtimes/{}/reassign-tasks", id("other runtime"));
        api.with(&admin).post(&theirs, &json!({"to": id("runtime")})).await.assert_status_not_found();
    }
}
