//! `GET /v1/runtimes/{id}/usage`: usage of a runtime by day, provider and model.
use super::asked::InDays;
use crate::http::App;
use crate::http::auth::{Caller, Read};
use crate::http::error::Problem;
use crate::http::openapi::ReadProblems;
use crate::http::parameters::Query;
use crate::http::path::Id;
use crate::query::{self, Answer, DayUsage};
use axum::Json;
use axum::extract::State;

/// Usage of a runtime by day, provider and model
///
/// The newest UTC day first; days without usage have no item.
#[utoipa::path(
    get, path = "/v1/runtimes/{id}/usage", tag = "usage",
    params(
        ("id" = uuid::Uuid, Path, description = "The runtime's id."),
        ("days" = Option<u16>, Query, minimum = 1, maximum = 3660, example = 90,
            description = "So many calendar days, today included; 90 if left out."),
    ),
    responses((status = 200, body = Answer<DayUsage>, description = "Exact, as of `as_of`."), ReadProblems),
    security(("token" = []))
)]
pub(super) async fn runtime_usage(
    caller: Caller<Read>,
    State(app): State<App>,
    Id(id): Id,
    Query(asked): Query<InDays>,
) -> Result<Json<Answer<DayUsage>>, Problem> {
    let range = asked.range(app.clock.now())?;
    let answer = query::runtime_usage(&app.ordinary_pool(), app.reading, caller.workspace, id, &range).await?;
    answer.map(Json).ok_or_else(|| Problem::unseen("runtime", id))
}

#[cfg(test)]
mod tests {
    use crate::access::Scope;
    use crate::http::testing::{Api, id};
    use serde_json::{Value, json};

    #[tokio::test]
    async fn the_newest_day_is_first_and_items_add_up_to_the_total() {
        let api = Api::start().await;
        api.world().await;
        api.use_tokens("task", "2026-03-09T09:00:00Z", "haiku", 1_000, Some(125_000_001)).await;
        api.use_tokens("task", "2026-03-10T09:00:00Z", "opus", 200, None).await;
        api.use_tokens("task", "2026-03-10T10:00:00Z", "opus", 300, Some(1)).await;
        let mut usage: Value = api.get(&format!("/v1/runtimes/{}/usage?days=2", id("runtime"))).await.json();
        let as_of = usage.as_object_mut().unwrap().remove("as_of").unwrap();
        assert!(as_of.as_str().unwrap().ends_with('Z'), "{as_of}");
        let haiku = json!({
            "date": "2026-03-09", "provider": "anthropic", "model": "haiku", "input_tokens": 1000, "output_tokens": 100,
            "cache_read_tokens": 10, "cache_write_tokens": 10, "cache_write_1h_tokens": 10, "cost_usd": "0.0125000001",
            "uncosted": {"input_tokens": 0, "output_tokens": 0, "cache_read_tokens": 0, "cache_write_tokens": 0,
                "cache_write_1h_tokens": 0},
            "event_count": 1,
        });
        let uncosted = json!({"input_tokens": 200, "output_tokens": 20, "cache_read_tokens": 2, "cache_write_tokens": 2,
            "cache_write_1h_tokens": 2});
        let opus = json!({
            "date": "2026-03-10", "provider": "anthropic", "model": "opus", "input_tokens": 500, "output_tokens": 50,
            "cache_read_tokens": 5, "cache_write_tokens": 5, "cache_write_1h_tokens": 5, "cost_usd": "0.0000000001",
            "uncosted": uncosted, "event_count": 2,
        });
        let expected = json!({
            "source": "tallybook.task_usage_daily_now",
            "exact": true,
            "subject": {"kind": "runtime", "id": id("runtime"), "name": "runtime", "labels": {"region": "eu"}},
            "range": {"from": "2026-03-09", "to": "2026-03-10", "days": 2, "tz": "UTC"},
            "items": [opus, haiku],
            "total": {
                "input_tokens": 1500, "output_tokens": 150, "cache_read_tokens": 15, "cache_write_tokens": 15,
                "cache_write_1h_tokens": 15, "cost_usd": "0.0125000002", "uncosted": uncosted, "event_count": 3,
            },
        });
        assert_eq!(usage, expected);
    }

    #[tokio::test]
    async fn n_days_are_n_calendar_days_today_included() {
        let api = Api::start().await;
        api.world().await;
        for (at, input) in [("2026-03-10T00:00:00Z", 1), ("2026-03-09T23:59:59.999Z", 10), ("2026-03-08T23:59:59.999Z", 100)] {
            api.use_tokens("task", at, "opus", input, None).await;
        }
        for (days, input) in [("?days=1", 1), ("?days=2", 11), ("?days=3", 111), ("", 111)] {
            let usage: Value = api.get(&format!("/v1/runtimes/{}/usage{days}", id("runtime"))).await.json();
            assert_eq!(usage["total"]["input_tokens"], input, "{days}");
        }
    }

    #[tokio::test]
    async fn a_runtime_without_usage_is_not_an_unknown_one() {
        let api = Api::start().await;
        api.world().await;
        let usage: Value = api.get(&format!("/v1/runtimes/{}/usage", id("runtime"))).await.json();
        assert_eq!(
            (&usage["items"], &usage["total"]["cost_usd"], &usage["range"]["days"]),
            (&json!([]), &json!("0"), &json!(90))
        );
        api.get(&format!("/v1/runtimes/{}/usage", id("nowhere"))).await.assert_status_not_found();
    }

    #[tokio::test]
    async fn a01_a_bound_token_sees_its_own_usage_of_a_runtime_that_others_use() {
        let api = Api::start().await;
        api.world().await;
        api.other_world().await;
        let lent = json!({"agent_id": id("other agent"), "runtime_id": id("runtime")});
        api.put(&format!("/v1/tasks/{}", id("other task")), &lent).await.assert_status_ok();
        api.use_tokens("task", "2026-03-10T09:00:00Z", "opus", 1, None).await;
        api.use_tokens("other task", "2026-03-10T09:00:00Z", "opus", 10, None).await;
        let token = api.token(Some(id("workspace")), &[Scope::Read]).await;
        for path in ["usage", "usage/by-agent", "usage/by-hour"] {
            let path = format!("/v1/runtimes/{}/{path}", id("runtime"));
            let own: Value = api.with(&token).get(&path).await.json();
            let all: Value = api.get(&path).await.json();
            assert_eq!((&own["total"]["input_tokens"], &all["total"]["input_tokens"]), (&json!(1), &json!(11)), "{path}");
        }
    }

    #[tokio::test]
    async fn sums_beyond_64_bits_keep_every_digit() {
        let api = Api::start().await;
        api.world().await;
        for at in ["2026-03-10T09:00:00Z", "2026-03-10T09:01:00Z", "2026-03-10T09:02:00Z"] {
            api.use_tokens("task", at, "opus", i64::MAX, Some(i64::MAX)).await;
        }
        let text = api.get(&format!("/v1/runtimes/{}/usage", id("runtime"))).await.text();
        assert!(text.contains(r#""input_tokens":27670116110564327421,"#), "{text}");
        assert!(text.contains(r#""cost_usd":"2767011611.0564327421""#), "{text}");
    }
}
