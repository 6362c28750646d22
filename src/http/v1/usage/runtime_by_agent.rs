//! `GET /v1/runtimes/{id}/usage/by-agent`: usage of a runtime by agent.
use super::asked::InDays;
use crate::http::App;
use crate::http::auth::{Caller, Read};
use crate::http::error::Problem;
use crate::http::openapi::ReadProblems;
use crate::http::parameters::Query;
use crate::http::path::Id;
use crate::query::{self, AgentUsage, Answer};
use axum::Json;
use axum::extract::State;

/// Usage of a runtime by agent
///
/// The most expensive agent first; agents without usage have no item.
#[utoipa::path(
    get, path = "/v1/runtimes/{id}/usage/by-agent", tag = "usage",
    params(
        ("id" = uuid::Uuid, Path, description = "The runtime's id."),
        ("days" = Option<u16>, Query, minimum = 1, maximum = 3660, example = 90,
            description = "So many calendar days, today included; 90 if left out."),
    ),
    responses((status = 200, body = Answer<AgentUsage>, description = "Exact, as of `as_of`."), ReadProblems),
    security(("token" = []))
)]
pub(super) async fn runtime_usage_by_agent(
    caller: Caller<Read>,
    State(app): State<App>,
    Id(id): Id,
    Query(asked): Query<InDays>,
) -> Result<Json<Answer<AgentUsage>>, Problem> {
    let range = asked.range(app.clock.now())?;
    let answer = query::runtime_by_agent(&app.ordinary_pool(), app.reading, caller.workspace, id, &range).await?;
    answer.map(Json).ok_or_else(|| Problem::unseen("runtime", id))
}

#[cfg(test)]
mod tests {
    use crate::http::testing::{Api, id};
    use serde_json::{Value, json};

    #[tokio::test]
    async fn the_most_expensive_agent_is_first_and_an_archived_one_keeps_its_name() {
        let api = Api::start().await;
        api.world().await;
        let agent = json!({"workspace_id": id("workspace"), "name": "second", "labels": {"team": "ads"}});
        let task = json!({"agent_id": id("second"), "runtime_id": id("runtime")});
        api.put(&format!("/v1/agents/{}", id("second")), &agent).await.assert_status(axum::http::StatusCode::CREATED);
        api.put(&format!("/v1/tasks/{}", id("second")), &task).await.assert_status(axum::http::StatusCode::CREATED);
        api.delete(&format!("/v1/agents/{}", id("second"))).await.assert_status_no_content();
        api.use_tokens("task", "2026-03-10T09:00:00Z", "opus", 900, Some(1)).await;
        api.use_tokens("task", "2026-03-01T09:00:00Z", "opus", 50, None).await;
        api.use_tokens("second", "2026-03-10T09:00:00Z", "opus", 100, Some(20)).await;
        let usage: Value = api.get(&format!("/v1/runtimes/{}/usage/by-agent?days=7", id("runtime"))).await.json();
        let shown: Vec<Value> = usage["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| json!([item["agent_id"], item["agent_name"], item["agent_labels"], item["input_tokens"]]))
            .collect();
        assert_eq!(
            shown,
            [json!([id("second"), "second", {"team": "ads"}, 100]), json!([id("agent"), "agent", {"team": "search"}, 900])]
        );
        assert_eq!(usage["total"]["input_tokens"], 1_000);
        assert_eq!(usage["source"], "tallybook.task_usage_quarter_hour_now");
    }
}
