//! Who calls: the bearer token of a request, looked up afresh each time.
use super::App;
use super::error::Problem;
use super::request::RequestId;
use crate::access::{self, Access, Scope};
use crate::audit::Actor;
use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

const CHALLENGE: &str = r#"Bearer realm="tallybook""#;
const CHALLENGE_INVALID: &str = r#"Bearer realm="tallybook", error="invalid_token""#;

/// What a handler demands of its caller before it looks at anything else of the request.
pub trait Demand: Send + Sync + 'static {
    /// The scope that the token must have.
    const SCOPE: Scope;
}

macro_rules! demands {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name;
        impl Demand for $name {
            const SCOPE: Scope = Scope::$name;
        }
    )*};
}
demands! {
    /// A token that may report.
    Ingest;
    /// A token that may read.
    Read;
    /// A token that may do everything.
    Admin;
}

/// The caller, known and allowed to do what `D` demands: a handler that takes one cannot be reached otherwise.
#[derive(Debug)]
pub struct Caller<D> {
    access: Access,
    request: Option<RequestId>,
    demand: PhantomData<D>,
}

impl<D> Caller<D> {
    /// What the caller may do.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// Who it is, for the audit log.
    pub fn actor(&self) -> Actor {
        Actor::http(self.access.token_id, self.request.as_ref().map(|RequestId(id)| Arc::clone(id)))
    }
}

impl<D> Deref for Caller<D> {
    type Target = Access;

    fn deref(&self) -> &Access {
        &self.access
    }
}

impl<D: Demand> FromRequestParts<App> for Caller<D> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let token = bearer(&parts.headers)?;
        let known = app.presence.while_there(access::authenticate(&app.pool, &app.clock, token)).await?;
        let access = known.ok_or_else(|| {
            Problem::unauthenticated("invalid_token", CHALLENGE_INVALID, "the token is unknown, expired or revoked")
        })?;
        app.rates.request(access.token_id, &app.metrics)?;
        require(&access, D::SCOPE)?;
        Ok(Self { access, request: parts.extensions.get().cloned(), demand: PhantomData })
    }
}

fn require(access: &Access, scope: Scope) -> Result<(), Problem> {
    if access.allows(scope) {
        return Ok(());
    }
    let detail = format!("this needs a token with the scope {scope}");
    Err(Problem::new(StatusCode::FORBIDDEN, "missing_scope", detail).with("scope", scope))
}

/// The token in `Authorization: Bearer ...`.
fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
    let missing = |detail| Problem::unauthenticated("missing_token", CHALLENGE, detail);
    let value = headers.get(AUTHORIZATION).ok_or_else(|| missing("send a token: `Authorization: Bearer tally_...`"))?;
    let (scheme, token) = value
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .ok_or_else(|| missing("the Authorization header must read `Bearer tally_...`"))?;
    if scheme.eq_ignore_ascii_case("bearer") {
        Ok(token.trim())
    } else {
        Err(missing("only bearer tokens are accepted: `Authorization: Bearer tally_...`"))
    }
}

#[cfg(test)]
mod tests {
    use crate::access::{self, Scope};
    use crate::db::presence::Presence;
    use crate::http::App;
    use crate::http::testing::{Api, app};
    use serde_json::Value;

    #[tokio::test]
    async fn every_endpoint_of_the_api_refuses_strangers() {
        let api = Api::start().await;
        let document: Value = api.server.get("/openapi.json").await.json();
        for (path, item) in document["paths"].as_object().unwrap().iter().filter(|(path, _)| path.starts_with("/v1/")) {
            for method in item.as_object().unwrap().keys() {
                let method = method.to_uppercase().parse().unwrap();
                let ask = || api.server.method(axum::http::Method::clone(&method), &path.replace("{id}", "x"));
                let nobody = ask().await;
                assert_eq!(nobody.status_code(), 401, "{method} {path}");
                assert_eq!(nobody.header("www-authenticate"), super::CHALLENGE);
                let wrong = ask().authorization_bearer("tally_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").await;
                assert_eq!((wrong.status_code().as_u16(), &wrong.json::<Value>()["code"]), (401, &"invalid_token".into()));
                assert_eq!(wrong.header("www-authenticate"), super::CHALLENGE_INVALID);
            }
        }
    }

    #[tokio::test]
    async fn every_endpoint_says_when_to_come_again_while_the_database_is_away() {
        let api = Api::start().await;
        let token = api.token(None, &[Scope::Admin]).await;
        let document: Value = api.server.get("/openapi.json").await.json();
        // A server that is not there: connecting fails, as it does while PostgreSQL is stopped.
        let nowhere = api.database.options().socket("/nonexistent");
        let pool = crate::db::pool::lazy(nowhere, None, 1);
        let app = App { presence: Presence::of(&pool), pool, ..app(&api.database, &api.clock) };
        let server = axum_test::TestServer::new(crate::http::router(app));
        for (path, item) in document["paths"].as_object().unwrap().iter().filter(|(path, _)| path.starts_with("/v1/")) {
            for method in item.as_object().unwrap().keys() {
                let method = method.to_uppercase().parse().unwrap();
                let path = path.replace("{id}", &uuid::Uuid::nil().to_string());
                let response = server.method(method, &path).authorization_bearer(&token).await;
                response.assert_status_service_unavailable();
                assert_eq!(response.json::<Value>()["code"], "database_unavailable", "{path}");
                assert_eq!(response.header("retry-after"), "2", "{path}");
            }
        }
    }

    #[tokio::test]
    async fn other_schemes_are_refused_and_a_revoked_token_too() {
        let api = Api::start().await;
        for value in ["Basic dXNlcjpwYXNz", "tally_x", "Bearer"] {
            let response = api.server.get("/v1/agents").add_header("authorization", value).await;
            response.assert_status_unauthorized();
            assert_eq!(response.json::<Value>()["code"], "missing_token", "{value}");
        }
        let token = api.token(None, &[Scope::Read]).await;
        api.server.get("/v1/agents").authorization_bearer(&token).await.assert_status_ok();
        for record in access::list(&api.database.pool).await.unwrap() {
            access::revoke(&api.database.pool, &api.clock, &crate::audit::Actor::cli(), record.id).await.unwrap();
        }
        api.server.get("/v1/agents").authorization_bearer(&token).await.assert_status_unauthorized();
    }
}
