//! `GET /v1/audit`: the audit log, newest first, page by page. To a bound token, what was done to its workspace.
use crate::audit::{self, ActionName, Entry, NoActionName};
use crate::http::App;
use crate::http::auth::{Admin, Caller};
use crate::http::error::Problem;
use crate::http::openapi::problems;
use crate::http::page::Page;
use crate::http::parameters::{FromParameters, Parameters, Query};
use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::openapi::{RefOr, Response};
use utoipa::{IntoResponses, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_audit))
}

/// Which page is asked for.
pub(super) struct Asked {
    action: Option<ActionName>,
    since: Option<Timestamp>,
    page: Page,
}

impl FromParameters for Asked {
    fn take(parameters: &mut Parameters) -> Result<Self, Problem> {
        Ok(Self {
            action: parameters.parsed("action", NoActionName)?,
            since: parameters.parsed("since", "a time in RFC 3339, such as 2026-01-31T00:00:00Z")?,
            page: Page::take(parameters)?,
        })
    }
}

/// Some of the audit log.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditLog)]
pub(super) struct Log {
    /// The newest first.
    items: Vec<Entry>,
    /// What to give as `after` for the next page; null on the last one.
    next_after: Option<Uuid>,
}

/// List what cannot be undone
///
/// Purges, repairs, usage sealed and thinned, partitions detached, tokens made and revoked, rollups declared and dropped, migrations: who
/// did it, on which way and when, newest first. Ask again with `after` = `next_after` until that is null. A token that is bound to a
/// workspace sees what was done to that.
#[utoipa::path(
    get, path = "/v1/audit", tag = "audit",
    params(
        ("limit" = Option<u16>, Query, minimum = 1, maximum = 1000, example = 100, description = "How many at most; 100 if left out."),
        ("after" = Option<Uuid>, Query, description = "Only those after this one, that is, older ones: `next_after` of the page before."),
        ("since" = Option<String>, Query, format = DateTime, description = "Nothing older than this time."),
        ("action" = Option<String>, Query, example = "token.create", description = "Only this action."),
    ),
    responses((status = 200, body = Log, description = "One page."), LogProblems),
    security(("token" = []))
)]
pub(super) async fn list_audit(
    caller: Caller<Admin>,
    State(app): State<App>,
    Query(asked): Query<Asked>,
) -> Result<Json<Log>, Problem> {
    let wanted = audit::Page {
        workspace: caller.workspace,
        action: asked.action,
        since: asked.since,
        after: asked.page.after,
        limit: asked.page.to_fetch(),
    };
    let mut items = audit::list(&app.pool, &wanted).await?;
    let next_after = asked.page.cut(&mut items, |entry| entry.id);
    Ok(Json(Log { items, next_after }))
}

/// What can be wrong with a request for it.
struct LogProblems;

impl IntoResponses for LogProblems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let own = [(400, "A parameter is wrong or unknown; `field` names it.")];
        problems(&own)
    }
}

#[cfg(test)]
mod tests {
    use crate::access::Scope;
    use crate::http::testing::{Api, Client, id};
    use serde_json::{Value, json};

    async fn items(client: &Client<'_>, query: &str) -> Vec<Value> {
        let page: Value = client.get(&format!("/v1/audit{query}")).await.json();
        page["items"].as_array().unwrap_or_else(|| panic!("{page}")).clone()
    }

    #[tokio::test]
    async fn a_purge_tells_who_and_by_which_request() {
        let api = Api::start().await;
        api.world().await;
        let token = api.token(Some(id("workspace")), &[Scope::Admin]).await;
        let path = format!("/v1/agents/{}?purge=true", id("agent"));
        api.with(&token).delete(&path).add_header("x-request-id", "r-1").await.assert_status_no_content();
        let [entry] = items(&api.with(&token), "?action=entity.purge").await.try_into().unwrap();
        assert_eq!(entry["target"], format!("agent {}", id("agent")));
        assert_eq!((&entry["via"], &entry["request_id"], &entry["token_name"]), (&"http".into(), &"r-1".into(), &"test".into()));
        assert_eq!((&entry["workspace_id"], &entry["details"]), (&json!(id("workspace")), &json!({})));
        // What is refused, or is only archived, is not told.
        api.with(&token).delete(&path).await.assert_status_not_found();
        api.with(&token).delete(&format!("/v1/issues/{}", id("issue"))).await.assert_status_no_content();
        assert_eq!(items(&api.with(&token), "?action=entity.purge").await.len(), 1);
    }

    #[tokio::test]
    async fn what_could_not_be_purged_is_not_told() {
        let api = Api::start().await;
        api.world().await;
        let token = api.token(None, &[Scope::Admin]).await;
        api.delete(&format!("/v1/runtimes/{}?purge=true", id("runtime"))).await.assert_status_conflict();
        assert_eq!(items(&api.with(&token), "?action=entity.purge").await, Vec::<Value>::new());
    }

    #[tokio::test]
    async fn a_bound_token_sees_what_was_done_to_its_workspace_and_others_see_nothing() {
        let api = Api::start().await;
        api.world().await;
        api.other_world().await;
        let all = api.token(None, &[Scope::Admin]).await;
        let own = api.token(Some(id("workspace")), &[Scope::Admin]).await;
        for kind in ["workspace", "other workspace"] {
            api.delete(&format!("/v1/workspaces/{}?purge=true", id(kind))).await.assert_status_no_content();
        }
        let targets = async |token: &str| -> Vec<String> {
            let found = items(&api.with(token), "?action=entity.purge").await;
            found.iter().map(|entry| entry["target"].as_str().unwrap().to_owned()).collect()
        };
        let expected = |kind| format!("workspace {}", id(kind));
        assert_eq!(targets(&all).await, [expected("other workspace"), expected("workspace")]);
        assert_eq!(targets(&own).await, [expected("workspace")]);
        assert!(items(&api.with(&own), "").await.iter().all(|entry| entry["workspace_id"] == json!(id("workspace"))));
        let reader = api.token(None, &[Scope::Read, Scope::Ingest]).await;
        api.with(&reader).get("/v1/audit").await.assert_status_forbidden();
    }

    #[tokio::test]
    async fn pages_follow_each_other_and_end() {
        let api = Api::start().await;
        for _ in 0..5 {
            api.token(None, &[Scope::Read]).await;
        }
        let token = api.token(None, &[Scope::Admin]).await;
        let all = items(&api.with(&token), "?action=token.create").await;
        assert_eq!(all.len(), 7);
        let mut seen = Vec::new();
        let mut after = String::new();
        for expected in [3, 3, 1] {
            let page: Value = api.with(&token).get(&format!("/v1/audit?action=token.create&limit=3{after}")).await.json();
            assert_eq!(page["items"].as_array().unwrap().len(), expected);
            seen.extend(page["items"].as_array().unwrap().clone());
            after = format!("&after={}", page["next_after"].as_str().unwrap_or("end"));
        }
        assert!(after.ends_with("end"));
        assert_eq!(seen, all);
        assert_eq!(items(&api.with(&token), "?since=9999-01-01T00:00:00Z").await, Vec::<Value>::new());
        assert_eq!(items(&api.with(&token), "?since=-009000-01-01T00:00:00Z&action=token.create").await, all);
        for (query, field) in [
            ("limit=0", "limit"),
            ("since=yesterday", "since"),
            ("after=1", "after"),
            ("until=1", "until"),
            ("action=%00", "action"),
        ] {
            let refused = api.with(&token).get(&format!("/v1/audit?{query}")).await;
            refused.assert_status_bad_request();
            assert_eq!(refused.json::<Value>()["field"], field);
        }
    }
}
