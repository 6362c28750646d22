//! `GET /v1/issues/{id}/usage`: usage of an issue by provider and model.
use crate::http::App;
use crate::http::auth::{Caller, Read};
use crate::http::error::Problem;
use crate::http::openapi::ReadProblems;
use crate::http::parameters::Query;
use crate::http::path::Id;
use crate::query::{self, Answer, ModelUsage};
use axum::Json;
use axum::extract::State;

/// Usage of an issue by provider and model
///
/// Of all time, or as far back as `complete_from` says: older usage may have been sealed, and is then no longer known by its task.
/// `task_count` counts the different tasks that used anything.
#[utoipa::path(
    get, path = "/v1/issues/{id}/usage", tag = "usage",
    params(
        ("id" = uuid::Uuid, Path, description = "The issue's id."),
    ),
    responses((status = 200, body = Answer<ModelUsage>, description = "Exact, as of `as_of`."), ReadProblems),
    security(("token" = []))
)]
pub(super) async fn issue_usage(
    caller: Caller<Read>,
    State(app): State<App>,
    Id(id): Id,
    Query(()): Query<()>,
) -> Result<Json<Answer<ModelUsage>>, Problem> {
    let answer = query::issue_usage(&app.ordinary_pool(), caller.workspace, id).await?;
    answer.map(Json).ok_or_else(|| Problem::unseen("issue", id))
}

#[cfg(test)]
mod tests {
    use crate::access::Scope;
    use crate::http::testing::{Api, id};
    use serde_json::{Value, json};

    #[tokio::test]
    async fn r20_a_task_with_two_models_in_three_hours_is_one_task() {
        let api = Api::start().await;
        api.world().await;
        for (at, model) in [("2026-03-10T09:00:00Z", "opus"), ("2026-03-10T10:00:00Z", "haiku"), ("2019-03-10T11:00:00Z", "opus")]
        {
            api.use_tokens("task", at, model, 100, None).await;
        }
        let usage: Value = api.get(&format!("/v1/issues/{}/usage", id("issue"))).await.json();
        assert_eq!((&usage["task_count"], &usage["source"], &usage["range"]), (&json!(1), &json!("raw"), &Value::Null));
        let models: Vec<Value> =
            usage["items"].as_array().unwrap().iter().map(|i| json!([i["provider"], i["model"], i["input_tokens"]])).collect();
        assert_eq!(models, [json!(["anthropic", "haiku", 100]), json!(["anthropic", "opus", 200])]);
        assert_eq!(usage["total"]["input_tokens"], 300);
    }

    #[tokio::test]
    async fn what_another_workspace_s_agents_used_for_it_is_theirs() {
        let api = Api::start().await;
        api.world().await;
        api.other_world().await;
        let helping = json!({"agent_id": id("other agent"), "issue_id": id("issue")});
        api.put(&format!("/v1/tasks/{}", id("other task")), &helping).await.assert_status_ok();
        api.use_tokens("task", "2026-03-10T09:00:00Z", "opus", 1, None).await;
        api.use_tokens("other task", "2026-03-10T09:00:00Z", "opus", 10, None).await;
        let token = api.token(Some(id("workspace")), &[Scope::Read]).await;
        let path = format!("/v1/issues/{}/usage", id("issue"));
        let own: Value = api.with(&token).get(&path).await.json();
        let all: Value = api.get(&path).await.json();
        assert_eq!((&own["total"]["input_tokens"], &own["task_count"]), (&json!(1), &json!(1)));
        assert_eq!((&all["total"]["input_tokens"], &all["task_count"]), (&json!(11), &json!(2)));
    }
}
