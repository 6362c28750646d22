//! `PUT /v1/{kind}/{id}`: makes one under an id of the caller's choice, or replaces what is said of it.
//!
//! Idempotent. What the body leaves out is reset, not kept; an archived one comes back, since a client that
//! puts it uses it.
use super::documentation::{answer, named, operation, paths};
use super::{Resource, not_found};
use crate::entity::store::{self, Stored};
use crate::http::App;
use crate::http::auth::Caller;
use crate::http::body::Json;
use crate::http::error::Problem;
use crate::http::parameters::Query;
use crate::http::path::Id;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing;
use utoipa::openapi::{Content, HttpMethod, Required, request_body::RequestBodyBuilder};
use utoipa_axum::router::UtoipaMethodRouter;

async fn put<E: Resource>(
    caller: Caller<E::Put>,
    State(app): State<App>,
    Id(id): Id,
    Query(()): Query<()>,
    Json(body, _place): Json<E::Body>,
) -> Result<(StatusCode, axum::Json<E>), Problem> {
    let stored = store::put::<E>(&app.ordinary_pool(), caller.workspace, id, body, app.clock.now()).await?;
    let Stored { entity, created } = stored.ok_or_else(|| not_found::<E>(id))?;
    Ok((if created { StatusCode::CREATED } else { StatusCode::OK }, axum::Json(entity)))
}

pub(super) fn route<E: Resource>() -> UtoipaMethodRouter<App> {
    let mut schemas = Vec::new();
    let body = named::<E::Body>(&mut schemas);
    let entity = named::<E>(&mut schemas);
    let summary = format!("Make or replace one {}", E::ONE);
    let description = format!(
        "Idempotent. Replaces all that is said of the {}: what the body leaves out is reset. An archived one comes back. \
         Everything that the body refers to must exist, where the token may see it. {}",
        E::ONE,
        E::PUT_NOTE
    );
    let operation = operation::<E>("put", true, summary, description.trim_end().to_owned())
        .request_body(Some(
            RequestBodyBuilder::new()
                .required(Some(Required::True))
                .content("application/json", Content::new(Some(body)))
                .build(),
        ))
        .response("200", answer("Replaced; this is how it stands.", entity.clone()))
        .response("201", answer("Made.", entity));
    let problems = [
        (400, "The body, the id or a parameter is wrong; `field` names it."),
        (404, "The id, or one that the body refers to (`field`), is none that the token may see."),
        (
            409,
            "What is stored does not allow it: `slug_taken`, `reference_gone`. Or, in an adopted database, the table does not take it: `column_missing` (`field` names it), `not_writable`, `refused_by_source`.",
        ),
        (413, "The body is too large."),
        (415, "The body is not JSON."),
    ];
    let path = format!("/v1/{}/{{id}}", E::MANY);
    (schemas, paths(&path, HttpMethod::Put, operation, &problems), routing::put(put::<E>))
}

#[cfg(test)]
mod tests {
    use crate::access::Scope;
    use crate::http::testing::{Api, id, other_world, world};
    use serde_json::json;

    #[tokio::test]
    async fn every_kind_is_made_once_and_then_replaced() {
        let api = Api::start().await;
        api.world().await;
        for (path, body) in world() {
            let again = api.put(&path, &body).await;
            again.assert_status_ok();
            let stored: serde_json::Value = again.json();
            for (key, value) in body.as_object().unwrap() {
                assert_eq!(&stored[key], value, "{path} {key}");
            }
            assert_eq!(stored["created_at"], "2026-03-10T12:00:00Z", "{path}");
            assert_eq!(api.get(&path).await.json::<serde_json::Value>(), stored);
        }
    }

    #[tokio::test]
    async fn what_is_left_out_is_reset_and_the_archived_comes_back() {
        let api = Api::start().await;
        api.world().await;
        let path = format!("/v1/agents/{}", id("agent"));
        api.delete(&path).await.assert_status_no_content();
        assert_eq!(api.get(&path).await.json::<serde_json::Value>()["archived_at"], "2026-03-10T12:00:00Z");
        let stored: serde_json::Value = api.put(&path, &json!({"workspace_id": id("workspace"), "name": "bare"})).await.json();
        assert_eq!(
            stored,
            json!({"id": id("agent"), "workspace_id": id("workspace"), "name": "bare", "runtime_id": null, "labels": {},
                "created_at": "2026-03-10T12:00:00Z", "archived_at": null})
        );
    }

    #[tokio::test]
    async fn wrong_bodies_are_refused_by_field() {
        let api = Api::start().await;
        api.world().await;
        let workspace = id("workspace");
        for (kind, body, status, field) in [
            ("agents", json!({"workspace_id": workspace}), 400, json!(null)),
            ("agents", json!({"workspace_id": workspace, "name": ""}), 400, json!("name")),
            ("agents", json!({"workspace_id": workspace, "name": "a\u{0}"}), 400, json!("name")),
            ("agents", json!({"workspace_id": 7, "name": "a"}), 400, json!("workspace_id")),
            ("agents", json!({"workspace_id": workspace, "name": "a", "colour": 1}), 400, json!("colour")),
            ("agents", json!({"workspace_id": workspace, "name": "a", "labels": {"x": 1}}), 400, json!("labels.x")),
            ("agents", json!({"workspace_id": id("nowhere"), "name": "a"}), 404, json!("workspace_id")),
            ("agents", json!({"workspace_id": workspace, "name": "a", "runtime_id": id("nowhere")}), 404, json!("runtime_id")),
            ("tasks", json!({"agent_id": id("agent"), "issue_id": id("nowhere")}), 404, json!("issue_id")),
            ("tasks", json!({"agent_id": id("agent"), "status": "done"}), 400, json!("status")),
            ("tasks", json!({"agent_id": id("agent"), "started_at": "NaN"}), 400, json!("started_at")),
            ("issues", json!({"workspace_id": workspace, "title": "t", "project_id": id("nowhere")}), 404, json!("project_id")),
            ("workspaces", json!({"name": "W", "slug": "No Slug"}), 400, json!("slug")),
            ("workspaces", json!({"name": "W", "slug": "workspace"}), 409, json!("slug")),
        ] {
            let response = api.put(&format!("/v1/{kind}/{}", id("fresh")), &body).await;
            let problem: serde_json::Value = response.json();
            assert_eq!((response.status_code().as_u16(), &problem["field"]), (status, &field), "{kind} {body}: {problem}");
        }
        let malformed = api.put("/v1/agents/7", &json!({"workspace_id": workspace, "name": "a"})).await;
        malformed.assert_status_bad_request();
        assert_eq!(malformed.json::<serde_json::Value>()["field"], "id");
    }

    #[tokio::test]
    async fn a_bound_token_makes_and_moves_nothing_across_the_border() {
        let api = Api::start().await;
        api.world().await;
        api.other_world().await;
        let token = api.token(Some(id("workspace")), &[Scope::Admin]).await;
        for (path, body) in other_world() {
            let response = api.with(&token).put(&path, &body).await;
            response.assert_status_not_found();
        }
        let theirs = json!({"workspace_id": id("other workspace"), "name": "mine no more"});
        let moved = api.with(&token).put(&format!("/v1/agents/{}", id("agent")), &theirs).await;
        moved.assert_status_not_found();
        assert_eq!(moved.json::<serde_json::Value>()["field"], "workspace_id");
        let lent = json!({"agent_id": id("agent"), "runtime_id": id("other runtime")});
        let lent = api.with(&token).put(&format!("/v1/tasks/{}", id("task")), &lent).await;
        assert_eq!((lent.status_code().as_u16(), &lent.json::<serde_json::Value>()["field"]), (404, &json!("runtime_id")));
        let made = api.with(&token).put(&format!("/v1/workspaces/{}", id("fresh")), &json!({"name": "New"})).await;
        made.assert_status_not_found();
        // A token for all may move the agent, and the task goes with it.
        api.put(&format!("/v1/agents/{}", id("agent")), &theirs).await.assert_status_ok();
        let task: serde_json::Value = api.get(&format!("/v1/tasks/{}", id("task"))).await.json();
        assert_eq!(task["workspace_id"], id("other workspace").to_string());
    }

    #[tokio::test]
    async fn reporters_put_tasks_and_nothing_else() {
        let api = Api::start().await;
        api.world().await;
        let ingest = api.token(Some(id("workspace")), &[Scope::Ingest]).await;
        let read = api.token(Some(id("workspace")), &[Scope::Read]).await;
        for (path, body) in world() {
            let expected = if path.starts_with("/v1/tasks") { 200 } else { 403 };
            assert_eq!(api.with(&ingest).put(&path, &body).await.status_code(), expected, "{path}");
            api.with(&read).put(&path, &body).await.assert_status_forbidden();
        }
    }
}
