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
/// Of all time, or as far back as `complete_from` says: older usage may have been sealed, and is then no longer known by its task.
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
    let answer = query::task_usage(&app.ordinary_pool(), caller.workspace, id).await?;
    answer.map(Json).ok_or_else(|| Problem::unseen("task", id))
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
        assert_eq!(usage.get("complete_from"), None);
    }

    #[tokio::test]
    async fn a_task_and_an_issue_say_from_when_on_they_are_complete() {
        let api = Api::start().await;
        api.world().await;
        api.use_tokens("task", "2026-02-01T09:00:00Z", "opus", 100, None).await;
        api.use_tokens("task", "2026-02-02T09:00:00Z", "opus", 20, None).await;
        let seal = "select tallybook.seal('2026-02-01', '2026-02-02', null, 10)";
        sqlx::query(seal).execute(&api.database.pool).await.unwrap();
        for path in ["tasks", "issues"] {
            let usage: Value = api.get(&format!("/v1/{path}/{}/usage", id(path.trim_end_matches('s')))).await.json();
            assert_eq!(usage["complete_from"], "2026-02-02T00:00:00Z", "{path}");
            assert_eq!((&usage["total"]["input_tokens"], &usage["exact"]), (&json!(20), &json!(true)), "{path}");
        }
        let runtime: Value = api.get(&format!("/v1/runtimes/{}/usage", id("runtime"))).await.json();
        assert_eq!((&runtime["total"]["input_tokens"], runtime.get("complete_from")), (&json!(120), None));
    }
}
