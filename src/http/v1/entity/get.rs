//! `GET /v1/{kind}/{id}`: one, archived or not.
use super::documentation::{answer, named, operation, paths};
use super::{Resource, not_found};
use crate::entity::store;
use crate::http::App;
use crate::http::auth::{Caller, Read};
use crate::http::error::Problem;
use crate::http::parameters::Query;
use crate::http::path::Id;
use axum::Json;
use axum::extract::State;
use axum::routing;
use utoipa::openapi::HttpMethod;
use utoipa_axum::router::UtoipaMethodRouter;

async fn get<E: Resource>(
    caller: Caller<Read>,
    State(app): State<App>,
    Id(id): Id,
    Query(()): Query<()>,
) -> Result<Json<E>, Problem> {
    store::find(&app.pool, caller.workspace, id).await?.map(Json).ok_or_else(|| not_found::<E>(id))
}

pub(super) fn route<E: Resource>() -> UtoipaMethodRouter<App> {
    let mut schemas = Vec::new();
    let entity = named::<E>(&mut schemas);
    let operation = operation::<E>("get", true, format!("Get one {}", E::ONE), "Archived ones are found, too.".to_owned())
        .response("200", answer("How it stands.", entity));
    let problems = [(400, "The id or a parameter is wrong; `field` names it."), (404, "There is none that the token may see.")];
    let path = format!("/v1/{}/{{id}}", E::MANY);
    (schemas, paths(&path, HttpMethod::Get, operation, &problems), routing::get(get::<E>))
}

#[cfg(test)]
mod tests {
    use crate::access::Scope;
    use crate::http::testing::{Api, id, other_world, world};

    #[tokio::test]
    async fn a01_another_workspace_s_ids_do_not_exist() {
        let api = Api::start().await;
        api.world().await;
        api.other_world().await;
        let token = api.token(Some(id("workspace")), &[Scope::Admin]).await;
        for (path, _) in world() {
            api.with(&token).get(&path).await.assert_status_ok();
        }
        for (path, _) in other_world() {
            let theirs = api.with(&token).get(&path).await;
            theirs.assert_status_not_found();
            let kind = path.rsplit_once('/').unwrap().0;
            let nobody_s = api.with(&token).get(&format!("{kind}/{}", id("nowhere"))).await;
            let text = |response: &axum_test::TestResponse, id: uuid::Uuid| {
                let problem: serde_json::Value = response.json();
                problem["detail"].as_str().unwrap().replace(&id.to_string(), "ID")
            };
            let their_id = path.rsplit_once('/').unwrap().1.parse().unwrap();
            assert_eq!(text(&theirs, their_id), text(&nobody_s, id("nowhere")));
            api.get(&path).await.assert_status_ok();
        }
    }

    #[tokio::test]
    async fn a_malformed_id_or_an_unknown_parameter_is_named() {
        let api = Api::start().await;
        for (path, code, field) in [
            ("/v1/agents/abc".to_owned(), "invalid_field", "id"),
            (format!("/v1/agents/{}?verbose=1", id("agent")), "unknown_parameter", "verbose"),
        ] {
            let response = api.get(&path).await;
            response.assert_status_bad_request();
            let problem: serde_json::Value = response.json();
            assert_eq!((&problem["code"], &problem["field"]), (&code.into(), &field.into()));
        }
    }

    #[tokio::test]
    async fn reporting_is_not_reading() {
        let api = Api::start().await;
        api.world().await;
        let ingest = api.token(None, &[Scope::Ingest]).await;
        for (path, _) in world() {
            api.with(&ingest).get(&path).await.assert_status_forbidden();
        }
    }
}
