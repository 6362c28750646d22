//! `GET /healthz`: the process answers. It says nothing of the database: restarting us would not bring that back.
use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

/// The process lives.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Health {
    /// Always `ok`.
    #[schema(example = "ok")]
    status: &'static str,
    /// The version of Tallybook.
    #[schema(example = "0.1.0")]
    version: &'static str,
}

/// Whether the process lives
///
/// It answers also while the database is away.
#[utoipa::path(get, path = "/healthz", tag = "service", responses((status = 200, body = Health, description = "It lives.")))]
pub(super) async fn health() -> Json<Health> {
    Json(Health { status: "ok", version: env!("CARGO_PKG_VERSION") })
}

#[cfg(test)]
mod tests {
    use crate::http::testing::Api;
    use serde_json::{Value, json};

    #[tokio::test]
    async fn it_answers_without_a_token_and_without_a_database() {
        let api = Api::start().await;
        api.database.pool.close().await;
        let response = api.server.get("/healthz").await;
        response.assert_status_ok();
        assert_eq!(response.json::<Value>(), json!({"status": "ok", "version": env!("CARGO_PKG_VERSION")}));
    }
}
