//! The OpenAPI document, made from the code, and its explorer page.
//!
//! `openapi.json` in the repository is this document; a test fails when it is stale.
use super::App;
use super::error::MEDIA_TYPE;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::{Router, extract::Request, routing};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Content, OpenApi as Document, Ref, RefOr, ResponseBuilder};
use utoipa::{IntoResponses, Modify, OpenApi, ToSchema};
use utoipa_swagger_ui::{Config, SwaggerUi};

/// The name of the security scheme.
pub(super) const SECURITY: &str = "token";
/// Where the document is.
const PATH: &str = "/openapi.json";
/// Where the explorer is.
const EXPLORER_PATH: &str = "/docs";
/// The explorer loads nothing from elsewhere.
const EXPLORER_POLICY: &str =
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'";

/// What the document says of the whole.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Tallybook",
        description = "Exact, always fresh token and cost rollups for fleets of AI agents.\n\n\
            Every number equals the sum of the raw usage rows in one snapshot of the database; every answer says where it \
            was read (`source`) and as of when. Counts are whole numbers, money is a decimal string, times are RFC 3339 in \
            UTC, days are calendar days of the zone that the answer names.\n\n\
            Send a bearer token. One that is bound to a workspace sees that workspace only: what belongs to others is \
            answered with 404, as if it did not exist. Problems are `application/problem+json` (RFC 9457); clients may rely \
            on `code`. Requests with status 429 or 503 may be sent again after `Retry-After` seconds."
    ),
    tags(
        (name = "usage", description = "Reports in, exact sums out."),
        (name = "workspaces", description = "Tenants: what tokens are bound to and usage is billed to."),
        (name = "runtimes", description = "Where agents run."),
        (name = "agents", description = "Who works."),
        (name = "projects", description = "Groups of issues."),
        (name = "issues", description = "What is worked on."),
        (name = "tasks", description = "Single runs of agents."),
        (name = "audit", description = "Who did what cannot be undone."),
        (name = "service", description = "Whether the service lives, can serve, and what it counts. Open to all.")
    ),
    components(schemas(ProblemDocument)),
    modifiers(&BearerToken)
)]
pub(super) struct Base;

struct BearerToken;

impl Modify for BearerToken {
    fn modify(&self, document: &mut Document) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("tally_...")
            .description(Some("Made by `tallybook token create`. Scopes: `ingest`, `read`, `admin` (implies both)."))
            .build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme(SECURITY, SecurityScheme::Http(scheme));
    }
}

/// Why a request was not answered as asked (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem, example = json!({
    "type": "urn:tallybook:problem:invalid_field",
    "title": "Invalid field",
    "status": 400,
    "detail": "days: a whole number from 1 to 3660, not \"x\"",
    "code": "invalid_field",
    "field": "days",
    "request_id": "0b1f3b0e-5b0a-4f4e-8c53-0a9f5f0c1d11"
}))]
struct ProblemDocument {
    /// A URN made of `code`.
    r#type: String,
    /// The kind of problem.
    title: String,
    /// The HTTP status.
    status: u16,
    /// What was wrong with this very request, and what to do.
    detail: String,
    /// The kind of problem, to rely on.
    code: String,
    /// The field or parameter that was wrong, if it was one.
    field: Option<String>,
    /// What the service's log knows the request by.
    request_id: String,
}

/// Responses with a problem each; those that every endpoint has are added.
pub(super) fn problems(own: &[(u16, &str)]) -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
    let common = [
        (401, "No token, or one that is unknown, expired or revoked."),
        (403, "The token lacks the scope that this needs; `scope` names it."),
        (429, "The token asks for too much in a second (`rate_limited`); `Retry-After` says when to come again."),
        (500, "A defect of the service."),
        (503, "Not now; `Retry-After` says when."),
    ];
    let problem = |(status, description): &(u16, &str)| {
        let content = Content::new(Some(Ref::from_schema_name("Problem")));
        (status.to_string(), ResponseBuilder::new().description(*description).content(MEDIA_TYPE, content).build().into())
    };
    common.iter().chain(own).map(problem).collect()
}

/// The problems of an endpoint that reads the usage of one thing.
pub(super) struct ReadProblems;

impl IntoResponses for ReadProblems {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let own = [
            (400, "The id or a parameter is wrong or unknown; `field` names it."),
            (404, "There is none that the token may see."),
        ];
        problems(&own)
    }
}

/// A price: decimal text, or a number, which is read from its text.
pub(super) fn price() -> Schema {
    let text = ObjectBuilder::new().schema_type(Type::String).pattern(Some(r"^[0-9]{1,8}(\.[0-9]{1,10})?$"));
    let number = ObjectBuilder::new().schema_type(Type::Number).minimum(Some(0)).maximum(Some(100_000_000));
    let none = ObjectBuilder::new().schema_type(Type::Null);
    OneOfBuilder::new()
        .description(Some(
            "The provider's own price in USD, at most 10 decimals, as a string or a number. Left out: no price is known. 0: it was free.",
        ))
        .item(text)
        .item(number)
        .item(none)
        .examples([serde_json::json!("0.0125")])
        .build()
        .into()
}

/// The document as it is served and committed.
///
/// # Panics
/// Never: the document is plain data.
pub(super) fn text(document: &Document) -> String {
    let mut text = document.to_pretty_json().expect("an OpenAPI document is plain data");
    text.push('\n');
    text
}

/// Serves `document` and its explorer.
pub(super) fn routes(document: &Document) -> Router<App> {
    let text: Arc<str> = text(document).into();
    let serve = move || async move {
        let headers = [(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        (StatusCode::OK, headers, text.to_string()).into_response()
    };
    let explorer: Router<App> = SwaggerUi::new(EXPLORER_PATH).config(Config::from(PATH).validator_url("none")).into();
    explorer.layer(from_fn(confine)).route(PATH, routing::get(serve))
}

async fn confine(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(EXPLORER_POLICY));
    response
}

#[cfg(test)]
mod tests {
    use crate::http::testing::Api;
    use serde_json::Value;
    use std::path::Path;

    /// Rewrites what is committed instead of comparing.
    const UPDATE_VARIABLE: &str = "TALLYBOOK_UPDATE";

    #[tokio::test]
    async fn the_committed_document_is_the_one_that_is_served() {
        let api = Api::start().await;
        let served = api.server.get("/openapi.json").await;
        served.assert_status_ok();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
        if std::env::var_os(UPDATE_VARIABLE).is_some() {
            std::fs::write(&path, served.text()).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(committed == served.text(), "openapi.json is stale: run the tests with {UPDATE_VARIABLE}=1 and commit it");
    }

    #[tokio::test]
    async fn every_operation_is_described_demands_a_token_and_names_its_problems() {
        let api = Api::start().await;
        let document: Value = api.server.get("/openapi.json").await.json();
        let mut ids = std::collections::BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let name = format!("{method} {path}");
                assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{name}");
                assert!(operation["summary"].is_string() && operation["description"].is_string(), "{name}");
                if path.starts_with("/v1/") {
                    assert!(operation["security"][0]["token"].is_array(), "{name}");
                    for status in ["400", "401", "403", "429", "500", "503"] {
                        assert!(operation["responses"][status].is_object(), "{name} {status}");
                    }
                }
            }
        }
        assert!(ids.len() >= 35, "{ids:?}");
    }

    #[tokio::test]
    async fn what_is_referred_to_is_in_the_document() {
        let api = Api::start().await;
        let text = api.server.get("/openapi.json").await.text();
        let document: Value = serde_json::from_str(&text).unwrap();
        for reference in text.split("\"$ref\": \"#").skip(1) {
            let pointer = reference.split('"').next().unwrap();
            assert!(document.pointer(pointer).is_some(), "{pointer} is missing");
        }
    }

    #[tokio::test]
    async fn the_explorer_is_there_and_loads_nothing_from_elsewhere() {
        let api = Api::start().await;
        let page = api.server.get("/docs/").await;
        page.assert_status_ok();
        assert!(page.text().contains("swagger-ui"));
        assert!(page.headers()["content-security-policy"].to_str().unwrap().starts_with("default-src 'self'"));
        let start = api.server.get("/docs/swagger-initializer.js").await.text();
        assert!(start.contains("/openapi.json") && !start.contains("https://"), "{start}");
    }
}
