//! `GET /v1/runtimes/{id}/usage/by-hour`: usage of a runtime by hour of the day.
use super::asked::InDaysOfZone;
use crate::http::App;
use crate::http::auth::{Caller, Read};
use crate::http::error::Problem;
use crate::http::openapi::ReadProblems;
use crate::http::parameters::Query;
use crate::http::path::Id;
use crate::query::{self, Answer, HourUsage};
use axum::Json;
use axum::extract::State;

/// Usage of a runtime by hour of the day
///
/// All 24 hours of the zone's clocks, each over all days of the range. Zones at :30 and :45 are exact, and so are days on which clocks change.
/// Usage whose quarter hours were thinned to UTC days is left out; `exact_from` says from when on nothing is.
#[utoipa::path(
    get, path = "/v1/runtimes/{id}/usage/by-hour", tag = "usage",
    params(
        ("id" = uuid::Uuid, Path, description = "The runtime's id."),
        ("days" = Option<u16>, Query, minimum = 1, maximum = 3660, example = 90,
            description = "So many calendar days, today included; 90 if left out."),
        ("tz" = Option<String>, Query, example = "Asia/Kolkata",
            description = "Whose days and hours: an IANA time zone; UTC if left out."),
    ),
    responses((status = 200, body = Answer<HourUsage>, description = "Exact, as of `as_of`."), ReadProblems),
    security(("token" = []))
)]
pub(super) async fn runtime_usage_by_hour(
    caller: Caller<Read>,
    State(app): State<App>,
    Id(id): Id,
    Query(asked): Query<InDaysOfZone>,
) -> Result<Json<Answer<HourUsage>>, Problem> {
    let range = asked.range(app.clock.now())?;
    let answer = query::runtime_by_hour(&app.ordinary_pool(), app.reading, caller.workspace, id, &range).await?;
    answer.map(Json).ok_or_else(|| Problem::unseen("runtime", id))
}

#[cfg(test)]
mod tests {
    use crate::http::testing::{Api, id};
    use serde_json::{Value, json};

    /// Hour and input tokens, of the hours with any.
    async fn hours(api: &Api, query: &str) -> Vec<(i64, i64)> {
        let usage: Value = api.get(&format!("/v1/runtimes/{}/usage/by-hour{query}", id("runtime"))).await.json();
        let items = usage["items"].as_array().unwrap_or_else(|| panic!("{usage}"));
        assert_eq!(items.len(), 24);
        let pair = |item: &Value| (item["hour"].as_i64().unwrap(), item["input_tokens"].as_i64().unwrap());
        let used: Vec<_> = items.iter().map(pair).filter(|(_, input)| *input > 0).collect();
        assert_eq!(usage["total"]["input_tokens"], used.iter().map(|(_, input)| input).sum::<i64>());
        used
    }

    #[tokio::test]
    async fn r17_a_zone_at_half_past_has_its_own_hours_and_days() {
        let api = Api::start().await;
        api.world().await;
        api.use_tokens("task", "2026-03-09T18:29:59Z", "opus", 1, None).await;
        api.use_tokens("task", "2026-03-09T18:30:00Z", "opus", 10, None).await;
        api.use_tokens("task", "2026-03-10T08:29:59Z", "opus", 100, None).await;
        api.use_tokens("task", "2026-03-10T08:30:00Z", "opus", 1_000, None).await;
        assert_eq!(hours(&api, "?days=1&tz=Asia/Kolkata").await, [(0, 10), (13, 100), (14, 1_000)]);
        assert_eq!(hours(&api, "?days=2&tz=Asia/Kolkata").await, [(0, 10), (13, 100), (14, 1_000), (23, 1)]);
        assert_eq!(hours(&api, "?days=2").await, [(8, 1_100), (18, 11)]);
        assert_eq!(hours(&api, "?days=1&tz=Asia/Kathmandu").await, [(0, 11), (14, 1_100)]);
    }

    #[tokio::test]
    async fn r18_no_zone_changes_what_another_one_shows() {
        let api = Api::start().await;
        api.world().await;
        for (at, input) in [("2026-03-08T18:40:00Z", 1), ("2026-03-09T03:15:00Z", 10), ("2026-03-09T23:59:00Z", 100)] {
            api.use_tokens("task", at, "opus", input, None).await;
        }
        let zones = ["Asia/Kolkata", "America/St_Johns", "UTC", "Pacific/Chatham"];
        let mut first = Vec::new();
        for zone in zones {
            first.push(hours(&api, &format!("?days=7&tz={zone}")).await);
        }
        crate::rollup::fold::drain(&api.database.pool).await.unwrap();
        for (zone, first) in zones.iter().zip(first).rev() {
            assert_eq!(first.iter().map(|(_, input)| input).sum::<i64>(), 111, "{zone}");
            assert_eq!(hours(&api, &format!("?days=7&tz={zone}")).await, first, "{zone}");
        }
    }

    #[tokio::test]
    async fn hours_follow_the_clocks_when_they_change() {
        let api = Api::start().await;
        api.world().await;
        api.clock.advance(jiff::SignedDuration::from_hours(24 * 20));
        // Berlin's clocks went from 2 to 3 on the 29th at 1:00 UTC.
        api.use_tokens("task", "2026-03-29T00:59:00Z", "opus", 1, None).await;
        api.use_tokens("task", "2026-03-29T01:00:00Z", "opus", 10, None).await;
        api.use_tokens("task", "2026-03-28T22:59:00Z", "opus", 100, None).await;
        assert_eq!(hours(&api, "?days=2&tz=Europe/Berlin").await, [(1, 1), (3, 10)]);
        assert_eq!(hours(&api, "?days=3&tz=Europe/Berlin").await, [(1, 1), (3, 10), (23, 100)]);
    }

    #[tokio::test]
    async fn the_zone_is_said_and_must_exist() {
        let api = Api::start().await;
        api.world().await;
        let path = format!("/v1/runtimes/{}/usage/by-hour?days=1&tz=", id("runtime"));
        let usage: Value = api.get(&format!("{path}asia/kolkata")).await.json();
        assert_eq!(usage["range"], json!({"from": "2026-03-10", "to": "2026-03-10", "days": 1, "tz": "Asia/Kolkata"}));
        for zone in ["Mars/Olympus", "", "%2B05:30"] {
            let response = api.get(&format!("{path}{zone}")).await;
            response.assert_status_bad_request();
            assert_eq!(response.json::<Value>()["field"], "tz", "{zone}");
        }
    }

    #[tokio::test]
    async fn thinned_days_are_left_out_in_every_zone_and_said() {
        let api = Api::start().await;
        api.world().await;
        for (at, tokens) in [
            ("2026-03-05T23:30:00Z", 1),
            ("2026-03-06T00:10:00Z", 10),
            ("2026-03-06T18:40:00Z", 100),
            ("2026-03-07T04:10:00Z", 1_000),
        ] {
            api.use_tokens("task", at, "opus", tokens, None).await;
        }
        let ask = async |tz: &str| -> (Value, Vec<(i64, i64)>) {
            let query = format!("?days=7&tz={tz}");
            let usage: Value = api.get(&format!("/v1/runtimes/{}/usage/by-hour{query}", id("runtime"))).await.json();
            (usage["exact_from"].clone(), hours(&api, &query).await)
        };
        let zones = ["UTC", "Asia/Kolkata", "America/St_Johns"];
        let all = [
            vec![(0, 10), (4, 1_000), (18, 100), (23, 1)],
            vec![(0, 100), (5, 11), (9, 1_000)],
            vec![(0, 1_000), (15, 100), (20, 11)],
        ];
        for (zone, all) in zones.iter().zip(&all) {
            assert_eq!(ask(zone).await, (Value::Null, all.clone()), "{zone}");
        }
        sqlx::raw_sql("select tallybook.seal('2026-03-05', '2026-03-07', null, 10)").execute(&api.database.pool).await.unwrap();
        for (zone, all) in zones.iter().zip(&all) {
            assert_eq!(ask(zone).await, (Value::Null, all.clone()), "sealed usage keeps its quarter hours: {zone}");
        }
        sqlx::raw_sql("select tallybook.thin('2026-03-05', '2026-03-07')").execute(&api.database.pool).await.unwrap();
        for (zone, left) in zones.iter().zip([vec![(4, 1_000)], vec![(9, 1_000)], vec![(0, 1_000)]]) {
            assert_eq!(ask(zone).await, (json!("2026-03-07T00:00:00Z"), left), "{zone}");
        }
        // A range that begins right then, or later, needs none of them; days and agents have all.
        for days in [4, 3] {
            let later: Value = api.get(&format!("/v1/runtimes/{}/usage/by-hour?days={days}", id("runtime"))).await.json();
            assert_eq!(later.get("exact_from"), None, "{days}");
        }
        for path in ["usage?days=7", "usage/by-agent?days=7"] {
            let usage: Value = api.get(&format!("/v1/runtimes/{}/{path}", id("runtime"))).await.json();
            assert_eq!((&usage["total"]["input_tokens"], usage.get("exact_from")), (&json!(1_111), None), "{path}");
        }
    }
}
