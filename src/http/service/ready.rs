//! `GET /readyz`: the database answers, has every migration, and captures every change.
//!
//! A rollup that may not be trusted is no reason to send requests elsewhere, where they would find the same: the answer is 200, and says
//! `degraded`. So it is with changes that are not captured, as long as the raw rows can be read: sums come from those meanwhile.
use crate::db::error::{Cause, cause};
use crate::db::migrate::{self, State as Migrated};
use crate::http::App;
use crate::http::error::Problem;
use crate::rollup::{drift, problems};
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use std::time::Duration;
use tokio::time::timeout;
use utoipa::ToSchema;

/// When to ask again.
const RETRY: Duration = Duration::from_secs(2);

/// Requests can be served.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Ready {
    /// `ready`, or `degraded` where a rollup may not be trusted.
    #[schema(example = "ready")]
    status: &'static str,
    /// Why it may not; missing where all may.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(example = json!([]))]
    reasons: Vec<String>,
}

/// What was found.
struct Found {
    /// Why requests cannot be served.
    faults: Vec<String>,
    /// Why a rollup may not be trusted.
    doubts: Vec<String>,
}

/// Whether requests can be served
///
/// The database answers, and every migration is applied as this version knows it. `degraded`, still with 200, says that a rollup may not be
/// trusted, since a day of it differs or changes are not captured, and that raw rows answer in its place; `reasons` lists why.
#[utoipa::path(get, path = "/readyz", tag = "service", responses(
    (status = 200, body = Ready, description = "They can."),
    (status = 503, body = ref("#/components/schemas/Problem"), content_type = "application/problem+json",
        description = "They cannot; `faults` lists why."),
))]
pub(super) async fn ready(State(app): State<App>) -> Result<Json<Ready>, Problem> {
    let unready = |faults: Vec<String>| {
        Err(Problem::unavailable("not_ready", format!("not ready: {}", faults.join("; ")), RETRY).with("faults", faults))
    };
    let limit = app.limits.probe_timeout;
    match timeout(limit, app.presence.while_there(look(&app))).await {
        Ok(Ok(Found { faults, doubts })) if faults.is_empty() => {
            let status = if doubts.is_empty() { "ready" } else { "degraded" };
            Ok(Json(Ready { status, reasons: doubts }))
        }
        Ok(Ok(Found { faults, .. })) => unready(faults),
        Ok(Err(error)) if matches!(cause(&error), Cause::Unavailable | Cause::Timeout) => {
            tracing::warn!(%error, "not ready: the database does not answer");
            unready(vec!["the database does not answer".to_owned()])
        }
        Ok(Err(error)) => {
            tracing::error!(%error, "not ready: the database does not tell how it stands");
            unready(vec!["the database does not tell how it stands; the service's log says why".to_owned()])
        }
        Err(_) => unready(vec![format!("the database did not answer within {} seconds", limit.as_secs())]),
    }
}

/// What stands in the way. Migrations of a newer version do not: it serves beside us while one replaces the other.
async fn look(app: &App) -> Result<Found, sqlx::Error> {
    let migrations = migrate::status(&app.pool).await?;
    let mut faults: Vec<String> = migrations
        .iter()
        .filter_map(|migration| {
            let state = match migration.state {
                Migrated::Applied | Migrated::Unknown => return None,
                Migrated::Pending => "is not applied",
                Migrated::Altered => "was applied with another text",
                Migrated::Failed => "was begun and not finished",
            };
            Some(format!("migration {} ({}) {state}", migration.version, migration.description))
        })
        .collect();
    let mut doubts = Vec::new();
    if faults.is_empty() {
        faults = sqlx::query_scalar(include_str!("hidden.sql")).fetch_all(&app.pool).await?;
    }
    if faults.is_empty() {
        doubts = drift::known(&app.pool).await?.iter().map(problems::drifted).collect();
        let uncaptured: Vec<String> = sqlx::query_scalar("select tallybook.capture_faults()").fetch_all(&app.pool).await?;
        if !uncaptured.is_empty() && raw_answers(app).await? {
            doubts.extend(uncaptured);
        } else {
            faults = uncaptured;
        }
    }
    Ok(Found { faults, doubts })
}

/// Whether the raw rows can be read.
async fn raw_answers(app: &App) -> Result<bool, sqlx::Error> {
    match sqlx::query("select from tallybook.contribution() limit 0").execute(&app.pool).await {
        // A column of an adopted table has another name, or none.
        Err(sqlx::Error::Database(_)) => Ok(false),
        answer => answer.map(|_| true),
    }
}

#[cfg(test)]
mod tests {
    use crate::http::testing::{Api, server};
    use crate::testing;
    use serde_json::{Value, json};

    #[tokio::test]
    async fn a_complete_database_is_ready() {
        let api = Api::start().await;
        let response = api.server.get("/readyz").await;
        response.assert_status_ok();
        assert_eq!(response.json::<Value>(), json!({"status": "ready"}));
    }

    #[tokio::test]
    async fn any_migration_that_is_missing_is_named() {
        let api = Api::start().await;
        sqlx::query("delete from tallybook.migration where version = 3").execute(&api.database.pool).await.unwrap();
        let response = api.server.get("/readyz").await;
        response.assert_status_service_unavailable();
        assert_eq!(response.json::<Value>()["faults"], json!(["migration 3 (capture) is not applied"]));

        let empty = testing::empty_database().await;
        let response = server(&empty).get("/readyz").await;
        response.assert_status_service_unavailable();
        assert!(response.json::<Value>()["faults"].as_array().unwrap().len() > 5);
    }

    #[tokio::test]
    async fn what_is_not_captured_degrades_and_stops_nobody_as_long_as_raw_answers() {
        let api = Api::start().await;
        let disable = "alter table public.task_usage disable trigger tallybook_update";
        sqlx::query(disable).execute(&api.database.pool).await.unwrap();
        let response = api.server.get("/readyz").await;
        response.assert_status_ok();
        let reason = "trigger tallybook_update on public.task_usage is disabled";
        assert_eq!(response.json::<Value>(), json!({"status": "degraded", "reasons": [reason]}));
        sqlx::query("alter table public.task_usage rename input_tokens to tokens_in").execute(&api.database.pool).await.unwrap();
        let response = api.server.get("/readyz").await;
        response.assert_status_service_unavailable();
        assert!(response.headers().contains_key("retry-after"));
        assert_eq!(response.json::<Value>()["faults"], json!([reason]));
    }

    #[tokio::test]
    async fn a_rollup_that_is_known_to_differ_degrades_and_stops_nobody() {
        let api = Api::start().await;
        sqlx::query("insert into tallybook.drift (rollup, day, drifted_keys) values ('task_usage_daily', '2026-03-01', 2)")
            .execute(&api.database.pool)
            .await
            .unwrap();
        let response = api.server.get("/readyz").await;
        response.assert_status_ok();
        let reason = "rollup task_usage_daily differs from raw usage in 2 keys on 1 day";
        assert_eq!(response.json::<Value>(), json!({"status": "degraded", "reasons": [reason]}));
    }

    #[tokio::test]
    async fn a_database_that_answers_and_tells_nothing_is_not_away() {
        let api = Api::start().await;
        sqlx::query("alter table tallybook.drift rename to draft").execute(&api.database.pool).await.unwrap();
        let response = api.server.get("/readyz").await;
        response.assert_status_service_unavailable();
        let fault = "the database does not tell how it stands; the service's log says why";
        assert_eq!(response.json::<Value>()["faults"], json!([fault]));
    }

    #[tokio::test]
    async fn a_database_that_is_away_is_said() {
        let api = Api::start().await;
        api.database.pool.close().await;
        let response = api.server.get("/readyz").await;
        response.assert_status_service_unavailable();
        assert_eq!(response.json::<Value>()["faults"], json!(["the database does not answer"]));
    }
}
