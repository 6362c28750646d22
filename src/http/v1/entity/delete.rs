//! `DELETE /v1/{kind}/{id}`: archives, so that names and spend stay; `?purge=true` removes for good.
use super::documentation::{boolean_schema, operation, paths, query};
use super::{Resource, not_found};
use crate::entity::store;
use crate::http::App;
use crate::http::auth::{Admin, Caller};
use crate::http::error::Problem;
use crate::http::parameters::{FromParameters, Parameters, Query};
use crate::http::path::Id;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing;
use utoipa::openapi::{HttpMethod, ResponseBuilder};
use utoipa_axum::router::UtoipaMethodRouter;

struct Asked {
    purge: bool,
}

impl FromParameters for Asked {
    fn take(parameters: &mut Parameters) -> Result<Self, Problem> {
        Ok(Self { purge: parameters.parsed("purge", "true or false")?.unwrap_or(false) })
    }
}

async fn delete<E: Resource>(
    caller: Caller<Admin>,
    State(app): State<App>,
    Id(id): Id,
    Query(asked): Query<Asked>,
) -> Result<StatusCode, Problem> {
    let found = if asked.purge {
        store::purge::<E>(&app.bulk_pool(), caller.workspace, &caller.actor(), id).await?
    } else {
        store::archive::<E>(&app.ordinary_pool(), caller.workspace, id, app.clock.now()).await?
    };
    if found { Ok(StatusCode::NO_CONTENT) } else { Err(not_found::<E>(id)) }
}

pub(super) fn route<E: Resource>() -> UtoipaMethodRouter<App> {
    let description = format!(
        "Archiving hides the {0} from lists; its name, its usage and its spend stay, and putting it again brings it back. \
         With `purge=true` the {0} and its usage are removed for good, and all totals follow. {1}",
        E::ONE,
        E::PURGE_NOTE
    );
    let summary = format!("Archive or purge one {}", E::ONE);
    let operation = operation::<E>("delete", true, summary, description.trim_end().to_owned())
        .parameter(query("purge", "Remove it for good, with its usage.", boolean_schema()))
        .response("204", ResponseBuilder::new().description("Done."));
    let problems = [
        (400, "The id or a parameter is wrong; `field` names it."),
        (404, "There is none that the token may see."),
        (
            409,
            "Something that stays still names it: `runtime_in_use`. Or, in an adopted database, foreign keys do not take everything along, or its owner does not allow it: `still_referenced`, `refused_by_source`.",
        ),
    ];
    let path = format!("/v1/{}/{{id}}", E::MANY);
    (Vec::new(), paths(&path, HttpMethod::Delete, operation, &problems), routing::delete(delete::<E>))
}

#[cfg(test)]
mod tests {
    use crate::access::Scope;
    use crate::http::testing::{Api, id, world};
    use serde_json::{Value, json};

    #[tokio::test]
    async fn archiving_twice_keeps_the_first_time() {
        let api = Api::start().await;
        api.world().await;
        let path = format!("/v1/issues/{}", id("issue"));
        api.delete(&path).await.assert_status_no_content();
        api.clock.advance(jiff::SignedDuration::from_hours(1));
        api.delete(&path).await.assert_status_no_content();
        assert_eq!(api.get(&path).await.json::<Value>()["archived_at"], "2026-03-10T12:00:00Z");
    }

    #[tokio::test]
    async fn a_purge_takes_everything_below_with_it() {
        let api = Api::start().await;
        api.world().await;
        api.delete(&format!("/v1/workspaces/{}?purge=true", id("workspace"))).await.assert_status_no_content();
        for (path, _) in world() {
            api.get(&path).await.assert_status_not_found();
        }
        api.delete(&format!("/v1/workspaces/{}?purge=true", id("workspace"))).await.assert_status_not_found();
    }

    #[tokio::test]
    async fn a_runtime_that_agents_name_is_not_purged() {
        let api = Api::start().await;
        api.world().await;
        let path = format!("/v1/runtimes/{}?purge=true", id("runtime"));
        let refused = api.delete(&path).await;
        refused.assert_status_conflict();
        assert_eq!(refused.json::<Value>()["code"], "runtime_in_use");
        let body = json!({"workspace_id": id("workspace"), "name": "agent"});
        api.put(&format!("/v1/agents/{}", id("agent")), &body).await.assert_status_ok();
        api.delete(&path).await.assert_status_no_content();
        let task: Value = api.get(&format!("/v1/tasks/{}", id("task"))).await.json();
        assert_eq!(task["runtime_id"], Value::Null);
    }

    #[tokio::test]
    async fn a_purge_takes_sealed_usage_along_as_it_does_with_raw() {
        for (kind, of_workspace, unattributed) in
            [("runtime", 110, true), ("project", 110, false), ("issue", 100, false), ("agent", 0, false)]
        {
            let api = Api::start().await;
            api.world().await;
            api.use_tokens("task", "2026-02-20T09:00:00Z", "opus", 100, None).await;
            api.use_tokens("task", "2026-03-01T09:00:00Z", "opus", 10, None).await;
            sqlx::raw_sql("select tallybook.seal('2026-02-20', '2026-02-21', null, 10)")
                .execute(&api.database.pool)
                .await
                .unwrap();
            if kind == "runtime" {
                let body = json!({"workspace_id": id("workspace"), "name": "agent"});
                api.put(&format!("/v1/agents/{}", id("agent")), &body).await.assert_status_ok();
            }
            api.delete(&format!("/v1/{kind}s/{}?purge=true", id(kind))).await.assert_status_no_content();
            let usage: Value = api.get(&format!("/v1/workspaces/{}/usage", id("workspace"))).await.json();
            assert_eq!(usage["total"]["input_tokens"], of_workspace, "{kind}: {usage}");
            let items = usage["items"].as_array().unwrap();
            assert!(items.iter().all(|item| item["unattributed"] == unattributed), "{kind}: {usage}");
            assert!(crate::rollup::verify::verify(&api.database.pool).await.unwrap().exact(), "{kind}");
        }
    }

    #[tokio::test]
    async fn only_its_own_admin_deletes() {
        let api = Api::start().await;
        api.world().await;
        api.other_world().await;
        let ingest = api.token(Some(id("workspace")), &[Scope::Ingest, Scope::Read]).await;
        let other = api.token(Some(id("other workspace")), &[Scope::Admin]).await;
        for (path, _) in world() {
            for path in [path.clone(), format!("{path}?purge=true")] {
                api.with(&ingest).delete(&path).await.assert_status_forbidden();
                api.with(&other).delete(&path).await.assert_status_not_found();
            }
            api.get(&path).await.assert_status_ok();
        }
        let unclear = api.delete(&format!("/v1/tasks/{}?purge=1", id("task"))).await;
        unclear.assert_status_bad_request();
        assert_eq!(unclear.json::<Value>()["field"], "purge");
    }
}
