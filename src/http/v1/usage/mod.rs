//! Usage: reports in, exact sums out.
mod asked;
mod issue;
mod item;
mod report;
mod runtime;
mod runtime_by_agent;
mod runtime_by_hour;
mod task;
mod workspace;

use crate::http::App;
use crate::http::error::Problem;
use crate::query::Error;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(report::report))
        .routes(routes!(runtime::runtime_usage))
        .routes(routes!(runtime_by_agent::runtime_usage_by_agent))
        .routes(routes!(runtime_by_hour::runtime_usage_by_hour))
        .routes(routes!(workspace::workspace_usage))
        .routes(routes!(issue::issue_usage))
        .routes(routes!(task::task_usage))
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Range(error) => Self::field("days", error),
            Error::Database(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::access::Scope;
    use crate::http::testing::{Api, id};
    use serde_json::Value;

    fn paths(of: &str) -> [String; 6] {
        let id = |kind: &str| id(&format!("{of}{kind}"));
        [
            format!("/v1/runtimes/{}/usage", id("runtime")),
            format!("/v1/runtimes/{}/usage/by-agent", id("runtime")),
            format!("/v1/runtimes/{}/usage/by-hour", id("runtime")),
            format!("/v1/workspaces/{}/usage", id("workspace")),
            format!("/v1/issues/{}/usage", id("issue")),
            format!("/v1/tasks/{}/usage", id("task")),
        ]
    }

    #[tokio::test]
    async fn every_answer_says_its_source_that_it_is_exact_and_as_of_when_and_all_agree() {
        let api = Api::start().await;
        api.world().await;
        api.use_tokens("task", "2026-03-10T09:00:00Z", "opus", 123, Some(5)).await;
        api.use_tokens("task", "2026-03-09T09:00:00Z", "haiku", 456, None).await;
        for _ in 0..2 {
            let mut totals = Vec::new();
            for path in paths("") {
                let answer: Value = api.get(&path).await.json();
                assert_eq!(answer["exact"], true, "{path}");
                assert!(answer["source"].is_string() && answer["as_of"].is_string(), "{path}: {answer}");
                totals.push(answer["total"].clone());
            }
            assert!(totals.iter().all(|total| *total == totals[0] && total["input_tokens"] == 579), "{totals:?}");
            // And again from what is folded.
            crate::rollup::fold::drain(&api.database.pool).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a01_another_workspace_s_usage_does_not_exist() {
        let api = Api::start().await;
        api.world().await;
        api.other_world().await;
        let token = api.token(Some(id("workspace")), &[Scope::Read]).await;
        let ingest = api.token(Some(id("workspace")), &[Scope::Ingest]).await;
        for (own, other) in paths("").iter().zip(paths("other ")) {
            api.with(&token).get(own).await.assert_status_ok();
            api.with(&token).get(&other).await.assert_status_not_found();
            api.with(&ingest).get(own).await.assert_status_forbidden();
            api.server.get(own).await.assert_status_unauthorized();
        }
    }

    #[tokio::test]
    async fn wrong_parameters_are_named() {
        let api = Api::start().await;
        api.world().await;
        for path in paths("") {
            for (query, field) in [("days=0", "days"), ("days=3661", "days"), ("days=x", "days"), ("day=7", "day")] {
                let response = api.get(&format!("{path}?{query}")).await;
                response.assert_status_bad_request();
                assert_eq!(response.json::<Value>()["field"], field, "{path}?{query}");
            }
        }
    }
}
