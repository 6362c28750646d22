//! `GET /v1/workspaces/{id}/usage`: usage of a workspace by day and runtime.
use super::asked::InDays;
use crate::http::App;
use crate::http::auth::{Caller, Read};
use crate::http::error::Problem;
use crate::http::openapi::ReadProblems;
use crate::http::parameters::Query;
use crate::http::path::Id;
use crate::query::{self, Answer, RuntimeDayUsage};
use axum::Json;
use axum::extract::State;

/// Usage of a workspace by day and runtime
///
/// The newest UTC day first. Usage of tasks without a runtime is an item of its own, `unattributed`.
#[utoipa::path(
    get, path = "/v1/workspaces/{id}/usage", tag = "usage",
    params(
        ("id" = uuid::Uuid, Path, description = "The workspace's id."),
        ("days" = Option<u16>, Query, minimum = 1, maximum = 3660, example = 90,
            description = "So many calendar days, today included; 90 if left out."),
    ),
    responses((status = 200, body = Answer<RuntimeDayUsage>, description = "Exact, as of `as_of`."), ReadProblems),
    security(("token" = []))
)]
pub(super) async fn workspace_usage(
    caller: Caller<Read>,
    State(app): State<App>,
    Id(id): Id,
    Query(asked): Query<InDays>,
) -> Result<Json<Answer<RuntimeDayUsage>>, Problem> {
    let range = asked.range(app.clock.now())?;
    let answer = query::workspace_usage(&app.ordinary_pool(), app.reading, caller.workspace, id, &range).await?;
    answer.map(Json).ok_or_else(|| Problem::unseen("workspace", id))
}

#[cfg(test)]
mod tests {
    use crate::http::testing::{Api, id};
    use serde_json::{Value, json};

    #[tokio::test]
    async fn usage_of_no_runtime_is_shown_as_unattributed_and_never_dropped() {
        let api = Api::start().await;
        api.world().await;
        api.put(&format!("/v1/tasks/{}", id("loose")), &json!({"agent_id": id("agent")})).await;
        api.use_tokens("task", "2026-03-10T09:00:00Z", "opus", 1, None).await;
        api.use_tokens("task", "2026-03-10T09:00:00Z", "haiku", 10, None).await;
        api.use_tokens("loose", "2026-03-10T09:00:00Z", "opus", 100, None).await;
        api.use_tokens("loose", "2026-03-09T09:00:00Z", "opus", 1_000, None).await;
        let usage: Value = api.get(&format!("/v1/workspaces/{}/usage?days=7", id("workspace"))).await.json();
        let shown: Vec<Value> = usage["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|i| json!([i["date"], i["runtime_id"], i["runtime_name"], i["unattributed"], i["input_tokens"]]))
            .collect();
        assert_eq!(
            shown,
            [
                json!(["2026-03-10", id("runtime"), "runtime", false, 11]),
                json!(["2026-03-10", null, null, true, 100]),
                json!(["2026-03-09", null, null, true, 1_000]),
            ]
        );
        assert_eq!(usage["total"]["input_tokens"], 1_111);
    }

    #[tokio::test]
    async fn a_runtime_s_end_leaves_the_workspace_s_total_as_it_was() {
        let api = Api::start().await;
        api.world().await;
        api.use_tokens("task", "2026-03-10T09:00:00Z", "opus", 7, None).await;
        let bare = json!({"workspace_id": id("workspace"), "name": "agent"});
        api.put(&format!("/v1/agents/{}", id("agent")), &bare).await.assert_status_ok();
        api.delete(&format!("/v1/runtimes/{}?purge=true", id("runtime"))).await.assert_status_no_content();
        let usage: Value = api.get(&format!("/v1/workspaces/{}/usage", id("workspace"))).await.json();
        assert_eq!(usage["total"]["input_tokens"], 7);
        assert_eq!(usage["items"][0]["unattributed"], true);
    }
}
