//! Usage: reports in, exact sums out.
mod asked;
mod batch;
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
    use sqlx::Executor;

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

    /// Everything that an answer says but where and when it was read.
    fn without_source(mut answer: Value) -> Value {
        let fields = answer.as_object_mut().unwrap();
        assert!(fields.remove("source").is_some() && fields.remove("as_of").is_some());
        answer
    }

    #[tokio::test]
    async fn every_endpoint_answers_alike_from_rollups_and_from_raw() {
        let api = Api::start().await;
        api.world().await;
        api.other_world().await;
        for (at, model, input, cost) in [
            ("2026-03-10T23:59:59.999Z", "opus", 1_000, Some(7)),
            ("2026-03-10T00:00:00Z", "haiku", 200, None),
            ("2026-03-09T23:59:59.999Z", "opus", 30, Some(0)),
            ("2026-03-08T18:29:59Z", "opus", 5_000, None),
            ("2025-12-11T00:00:00Z", "opus", 60_000, None),
            ("2025-12-10T23:59:59Z", "opus", 700_000, None),
            ("2019-01-01T00:00:00Z", "old", 8_000_000, Some(3)),
        ] {
            api.use_tokens("task", at, model, input, cost).await;
            api.use_tokens("other task", at, model, input * 3, cost).await;
        }
        // The other workspace's task runs on its own runtime, then on this one's, then on none.
        let paths = [paths(""), paths("other ")].concat();
        let queries = ["", "?days=1", "?days=2", "?days=90", "?days=91", "?days=3660"];
        let zones = ["&tz=Asia/Kolkata", "&tz=America/St_Johns", "&tz=Pacific/Chatham"];
        let bound = api.token(Some(id("workspace")), &[Scope::Read]).await;
        let from_raw = api.reading_raw();
        for round in 0..4 {
            let sql = match round {
                1 => {
                    "update public.agent_task_queue set runtime_id = (select id from public.agent_runtime where name = 'runtime')"
                }
                2 => "select tallybook.fold(25, 50000)",
                3 => "update public.agent_task_queue set runtime_id = null",
                _ => "select",
            };
            api.database.pool.execute(sql).await.unwrap();
            for path in &paths {
                let takes_days = !path.contains("/tasks/") && !path.contains("/issues/");
                for query in queries.into_iter().filter(|query| takes_days || query.is_empty()) {
                    let in_zones = zones.into_iter().filter(|_| path.ends_with("by-hour") && !query.is_empty());
                    for asked in std::iter::once("").chain(in_zones).map(|zone| format!("{path}{query}{zone}")) {
                        for token in [&api.admin, &bound] {
                            let rolled = api.with(token).get(&asked).await;
                            let raw = from_raw.get(&asked).authorization_bearer(token).await;
                            assert_eq!(rolled.status_code(), raw.status_code(), "{asked}");
                            let (rolled, raw): (Value, Value) = (rolled.json(), raw.json());
                            if rolled["exact"] == true {
                                assert_eq!(raw["source"], "raw", "{asked}");
                                assert_eq!(without_source(rolled), without_source(raw), "{asked} in round {round}");
                            }
                        }
                    }
                }
            }
        }
    }

    #[tokio::test]
    async fn raw_answers_depend_on_nothing_that_keeps_rollups() {
        let api = Api::start().await;
        api.world().await;
        api.use_tokens("task", "2026-03-10T09:00:00Z", "opus", 100, None).await;
        crate::rollup::fold::drain(&api.database.pool).await.unwrap();
        api.database
            .pool
            .execute(
                "update tallybook.task_usage_daily set input_tokens = 1; update tallybook.task_usage_quarter_hour set input_tokens = 1;
                 alter table public.task_usage disable trigger user; update public.task_usage set input_tokens = 101",
            )
            .await
            .unwrap();
        let from_raw = api.reading_raw();
        for path in paths("") {
            let answer: Value = from_raw.get(&path).authorization_bearer(&api.admin).await.json();
            assert_eq!(answer["total"]["input_tokens"], 101, "{path}");
        }
    }

    #[tokio::test]
    async fn raw_answers_by_itself_while_a_rollup_may_not_be_trusted() {
        let api = Api::start().await;
        api.world().await;
        api.use_tokens("task", "2026-03-10T09:00:00Z", "opus", 100, None).await;
        crate::rollup::fold::drain(&api.database.pool).await.unwrap();
        let pool = &api.database.pool;
        pool.execute("update tallybook.task_usage_daily set input_tokens = 1").await.unwrap();
        let asked = async |path: &str| {
            let answer: Value = api.get(path).await.json();
            (answer["source"].as_str().unwrap().to_owned(), answer["total"]["input_tokens"].clone())
        };
        let [daily, hours] =
            [format!("/v1/runtimes/{}/usage", id("runtime")), format!("/v1/runtimes/{}/usage/by-hour", id("runtime"))];
        assert_eq!(asked(&daily).await, ("tallybook.task_usage_daily_now".to_owned(), 1.into()), "nobody knows yet");
        pool.execute("insert into tallybook.drift (rollup, day, drifted_keys) values ('task_usage_daily', '2026-03-10', 1)")
            .await
            .unwrap();
        assert_eq!(asked(&daily).await, ("raw".to_owned(), 100.into()));
        assert_eq!(asked(&hours).await.0, "tallybook.task_usage_quarter_hour_now", "the other rollup may be trusted");
        assert!(crate::rollup::repair::repair(pool).await.unwrap().after.exact());
        assert_eq!(asked(&daily).await, ("tallybook.task_usage_daily_now".to_owned(), 100.into()));
        for (source, event) in
            [("public.task_usage", "update"), ("public.agent", "delete"), ("tallybook.sealed_usage", "truncate")]
        {
            let switch = |verb: &str| sqlx::AssertSqlSafe(format!("alter table {source} {verb} trigger tallybook_{event}"));
            pool.execute(switch("disable")).await.unwrap();
            for path in [&daily, &hours] {
                assert_eq!(asked(path).await, ("raw".to_owned(), 100.into()), "{path} without {event} of {source}");
            }
            pool.execute(switch("enable")).await.unwrap();
            assert_ne!(asked(&daily).await.0, "raw");
        }
        // What goes past a table is missed by triggers by statement.
        pool.execute("create table public.agents (like public.agent) partition by list (id); alter table public.agents attach partition public.agent default")
            .await
            .unwrap();
        assert_eq!(asked(&daily).await.0, "raw");
        pool.execute("select tallybook.install_capture('agent')").await.unwrap();
        assert_ne!(asked(&daily).await.0, "raw");
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
