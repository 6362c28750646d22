//! `GET /v1/tasks/{id}/usage`: usage of a task by provider and model.
use crate::http::App;
use crate::http::auth::{Caller, Read};
use crate::http::error::Problem;
use crate::http::openapi::ReadProblems;
use crate::http::parameters::Query;
use crate::http::path::Id;
use crate::query::{self, Answer, ModelUsage};
use axum::Json;
use axum::extract::State;

/// Usage of a task by provider and model
///
/// Of all time.
#[utoipa::path(
    get, path = "/v1/tasks/{id}/usage", tag = "usage",
    params(
        ("id" = uuid::Uuid, Path, description = "The task's id."),
    ),
    responses((status = 200, body = Answer<ModelUsage>, description = "Exact, as of `as_of`."), ReadProblems),
    security(("token" = []))
)]
pub(super) async fn task_usage(
    caller: Caller<Read>,
    State(app): State<App>,
    Id(id): Id,
    Query(()): Query<()>,
) -> Result<Json<Answer<ModelUsage>>, Problem> {
    let answer = query::task_usage(&app.pool, caller.workspace, id).await?;
    answer.map(Json).ok_or_else(|| Problem::not_found(format!("there is no task {id} that this token may see")))
}

#[cfg(test)]
mod tests {
    use crate::http::testing::{Api, id};
    use serde_json::{Value, json};

    #[tokio::test]
    async fn all_usage_of_the_task_is_shown_however_old() {
        let api = Api::start().await;
        api.world().await;
        api.use_tokens("task", "2012-03-10T09:00:00Z", "opus", 100, Some(30_000_000_000)).await;
        let usage: Value = api.get(&format!("/v1/tasks/{}/usage", id("task"))).await.json();
        assert_eq!(usage["subject"], json!({"kind": "task", "id": id("task"), "name": null, "labels": {"branch": "main"}}));
        assert_eq!((&usage["total"]["input_tokens"], &usage["total"]["cost_usd"]), (&json!(100), &json!("3")));
        assert_eq!(usage["items"].as_array().unwrap().len(), 1);
    }
}
