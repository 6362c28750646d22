//! `GET /v1/{kind}`: many, page by page, in the order of their ids.
use super::Resource;
use super::documentation::{answer, boolean_schema, named, operation, paths, query, uuid_schema};
use crate::entity::store;
use crate::entity::{Entity, Workspace};
use crate::http::App;
use crate::http::auth::{Caller, Read};
use crate::http::error::Problem;
use crate::http::page::{LIMIT_DEFAULT, LIMIT_MAX, Page};
use crate::http::parameters::{FromParameters, Parameters, Query};
use axum::Json;
use axum::extract::State;
use axum::routing;
use serde::Serialize;
use serde_json::json;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::{HttpMethod, RefOr};
use utoipa_axum::router::UtoipaMethodRouter;
use uuid::Uuid;

struct Asked {
    workspace: Option<Uuid>,
    include_archived: bool,
    page: Page,
}

impl FromParameters for Asked {
    fn take(parameters: &mut Parameters) -> Result<Self, Problem> {
        Ok(Self {
            workspace: parameters.parsed("workspace_id", "a UUID")?,
            include_archived: parameters.parsed("include_archived", "true or false")?.unwrap_or(false),
            page: Page::take(parameters)?,
        })
    }
}

#[derive(Serialize)]
struct Answer<E> {
    items: Vec<E>,
    next_after: Option<Uuid>,
}

async fn list<E: Resource>(
    caller: Caller<Read>,
    State(app): State<App>,
    Query(asked): Query<Asked>,
) -> Result<Json<Answer<E>>, Problem> {
    if let Some(workspace) = asked.workspace
        && store::find::<Workspace>(&app.pool, caller.workspace, workspace).await?.is_none()
    {
        return Err(super::not_found::<Workspace>(workspace).with("field", "workspace_id"));
    }
    let wanted = store::Page {
        workspace: asked.workspace.or(caller.workspace),
        include_archived: asked.include_archived,
        after: asked.page.after,
        limit: asked.page.to_fetch(),
    };
    let mut items: Vec<E> = store::list(&app.pool, &wanted).await?;
    let next_after = asked.page.cut(&mut items, Entity::id);
    Ok(Json(Answer { items, next_after }))
}

pub(super) fn route<E: Resource>() -> UtoipaMethodRouter<App> {
    let mut schemas = Vec::new();
    let entity = named::<E>(&mut schemas);
    let limit = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(1))
        .maximum(Some(LIMIT_MAX))
        .default(Some(json!(LIMIT_DEFAULT)))
        .build();
    let description = "Page by page, in the order of their ids: ask again with `after` = `next_after` until that is null.";
    let operation = operation::<E>("list", false, format!("List {}", E::MANY), description.to_owned())
        .parameter(query("limit", "How many at most.", Schema::from(limit)))
        .parameter(query("after", "Only those after this id: `next_after` of the page before.", uuid_schema()))
        .parameter(query("include_archived", "Archived ones, too.", boolean_schema()))
        .parameter(query("workspace_id", "Only those of this workspace.", uuid_schema()))
        .response("200", answer("One page.", page_schema(entity)));
    let problems = [
        (400, "A parameter is wrong or unknown; `field` names it."),
        (404, "`workspace_id` is no workspace that the token may see."),
    ];
    (schemas, paths(&format!("/v1/{}", E::MANY), HttpMethod::Get, operation, &problems), routing::get(list::<E>))
}

fn page_schema(entity: RefOr<Schema>) -> RefOr<Schema> {
    let nullable_id = ObjectBuilder::new()
        .schema_type(SchemaType::Array(vec![Type::String, Type::Null]))
        .description(Some("What to give as `after` for the next page; null on the last one."));
    ObjectBuilder::new()
        .property("items", ArrayBuilder::new().items(entity))
        .property("next_after", nullable_id)
        .required("items")
        .required("next_after")
        .build()
        .into()
}

#[cfg(test)]
mod tests {
    use crate::access::Scope;
    use crate::http::testing::{Api, id, world};
    use serde_json::{Value, json};

    fn names(page: &Value) -> Vec<&str> {
        page["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect()
    }

    #[tokio::test]
    async fn pages_follow_each_other_and_end() {
        let api = Api::start().await;
        api.world().await;
        let mut made = vec!["agent".to_owned()];
        for i in 0..5 {
            let name = format!("agent {i}");
            let body = json!({"workspace_id": id("workspace"), "name": name});
            api.put(&format!("/v1/agents/{}", id(&name)), &body).await.assert_status(axum::http::StatusCode::CREATED);
            made.push(name);
        }
        made.sort_by_key(|name| id(name));
        let mut seen = Vec::new();
        let mut path = "/v1/agents?limit=4".to_owned();
        for expected in [4, 2] {
            let page: Value = api.get(&path).await.json();
            assert_eq!(page["items"].as_array().unwrap().len(), expected);
            seen.extend(names(&page).into_iter().map(str::to_owned));
            path = format!("/v1/agents?limit=4&after={}", page["next_after"].as_str().unwrap_or("end"));
        }
        assert!(path.ends_with("end"));
        assert_eq!(seen, made);
    }

    #[tokio::test]
    async fn the_archived_are_shown_when_asked_for() {
        let api = Api::start().await;
        api.world().await;
        for (path, _) in world() {
            let kind = path.rsplit_once('/').unwrap().0;
            api.delete(&path).await.assert_status_no_content();
            let count = async |query: &str| {
                let page: Value = api.get(&format!("{kind}{query}")).await.json();
                page["items"].as_array().unwrap().len()
            };
            assert_eq!((count("").await, count("?include_archived=true").await), (0, 1), "{kind}");
        }
    }

    #[tokio::test]
    async fn a_bound_token_lists_its_own() {
        let api = Api::start().await;
        api.world().await;
        api.other_world().await;
        let token = api.token(Some(id("workspace")), &[Scope::Read]).await;
        for (path, _) in world() {
            let kind = path.rsplit_once('/').unwrap().0;
            let mine: Value = api.with(&token).get(kind).await.json();
            let ids: Vec<&str> = mine["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap()).collect();
            assert_eq!(ids, [path.rsplit_once('/').unwrap().1]);
            let all: Value = api.get(kind).await.json();
            assert_eq!(all["items"].as_array().unwrap().len(), 2, "{kind}");
            let theirs = format!("{kind}?workspace_id={}", id("other workspace"));
            api.with(&token).get(&theirs).await.assert_status_not_found();
            let narrowed: Value = api.get(&theirs).await.json();
            assert_eq!(narrowed["items"].as_array().unwrap().len(), 1, "{kind}");
        }
    }

    #[tokio::test]
    async fn wrong_parameters_are_named() {
        let api = Api::start().await;
        for (query, field) in [
            ("limit=0", "limit"),
            ("limit=1001", "limit"),
            ("limit=ten", "limit"),
            ("after=1", "after"),
            ("include_archived=yes", "include_archived"),
            ("archived=true", "archived"),
            ("limit=1&limit=2", "limit"),
        ] {
            let response = api.get(&format!("/v1/tasks?{query}")).await;
            response.assert_status_bad_request();
            assert_eq!(response.json::<Value>()["field"], field, "{query}");
        }
    }
}
