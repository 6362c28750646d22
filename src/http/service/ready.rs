//! `GET /readyz`: the database answers, has every migration, and captures every change.
use crate::db::migrate::{self, State as Migrated};
use crate::http::App;
use crate::http::error::Problem;
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use std::time::Duration;
use tokio::time::timeout;
use utoipa::ToSchema;

/// Until the database must have answered.
const PATIENCE: Duration = Duration::from_secs(3);
/// When to ask again.
const RETRY: Duration = Duration::from_secs(2);

/// Requests can be served.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Ready {
    /// Always `ready`.
    #[schema(example = "ready")]
    status: &'static str,
}

/// Whether requests can be served
///
/// The database answers, every migration is applied as this version knows it, and the triggers that capture
/// changes are in place and enabled.
#[utoipa::path(get, path = "/readyz", tag = "service", responses(
    (status = 200, body = Ready, description = "They can."),
    (status = 503, body = ref("#/components/schemas/Problem"), content_type = "application/problem+json",
        description = "They cannot; `faults` lists why."),
))]
pub(super) async fn ready(State(app): State<App>) -> Result<Json<Ready>, Problem> {
    let unready = |faults: Vec<String>| {
        Err(Problem::unavailable("not_ready", format!("not ready: {}", faults.join("; ")), RETRY).with("faults", faults))
    };
    match timeout(PATIENCE, app.presence.while_there(faults(&app))).await {
        Ok(Ok(faults)) if faults.is_empty() => Ok(Json(Ready { status: "ready" })),
        Ok(Ok(faults)) => unready(faults),
        Ok(Err(error)) => {
            tracing::warn!(%error, "not ready: the database does not answer");
            unready(vec!["the database does not answer".to_owned()])
        }
        Err(_) => unready(vec![format!("the database did not answer within {} seconds", PATIENCE.as_secs())]),
    }
}

/// What stands in the way. Migrations of a newer version do not: it serves beside us while one replaces the other.
async fn faults(app: &App) -> Result<Vec<String>, sqlx::Error> {
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
    if faults.is_empty() {
        faults = sqlx::query_scalar("select tallybook.capture_faults()").fetch_all(&app.pool).await?;
    }
    Ok(faults)
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
    async fn a_trigger_that_does_not_fire_is_named() {
        let api = Api::start().await;
        let disable = "alter table public.task_usage disable trigger tallybook_update";
        sqlx::query(disable).execute(&api.database.pool).await.unwrap();
        let response = api.server.get("/readyz").await;
        response.assert_status_service_unavailable();
        assert!(response.headers().contains_key("retry-after"));
        let problem: Value = response.json();
        assert_eq!(problem["faults"], json!(["trigger tallybook_update on public.task_usage is disabled"]));
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
