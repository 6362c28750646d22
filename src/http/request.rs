//! What holds for every request: an id, one line in the log, a count, and headers that all answers carry.
use super::App;
use super::error::Problem;
use super::unread::Kept;
use crate::telemetry::database::{Cost, counted};
use crate::telemetry::span as trace;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{CACHE_CONTROL, CONNECTION, TRANSFER_ENCODING, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use std::sync::Arc;
use std::time::Instant;
use tracing::{Instrument, Span};
use uuid::Uuid;

/// Names the request, in its answer and in the log; taken from the client where it makes sense.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// What a request is known by, among its extensions.
#[derive(Clone, Debug)]
pub(super) struct RequestId(pub(super) Arc<str>);

/// Length of an id that a client gives.
const REQUEST_ID_BYTES_MAX: usize = 128;
/// Shown for a request whose client went away before the answer.
const STATUS_CLIENT_GONE: u16 = 499;
/// Shown for what no route matches.
const ROUTE_UNKNOWN: &str = "unknown";

/// Wraps everything else.
pub(super) async fn accompany(State(app): State<App>, request: Request, next: Next) -> Response {
    let id: Arc<str> = request_id(request.headers()).into();
    let route = request.extensions().get::<MatchedPath>().map_or(ROUTE_UNKNOWN, MatchedPath::as_str).to_owned();
    let span = tracing::info_span!("request", request.id = &*id);
    let cost = Arc::new(Cost::default());
    let line = Line {
        app,
        method: method_name(request.method()),
        route,
        begun: Instant::now(),
        status: STATUS_CLIENT_GONE,
        cost: Arc::clone(&cost),
    };
    let is_chunked = request.headers().contains_key(TRANSFER_ENCODING);
    let traced = span.in_scope(|| trace::request(line.method, &line.route, &id, request.headers()));
    let (mut request, body) = Kept::of(request);
    request.extensions_mut().insert(RequestId(Arc::clone(&id)));
    async move {
        let mut line = line;
        let mut response = counted(cost, next.run(request)).await;
        if let Some(problem) = response.extensions_mut().remove::<Problem>() {
            response = with_id(problem, &response, &id);
        }
        line.status = response.status().as_u16();
        trace::answered(&Span::current(), line.status);
        dress(response.headers_mut(), &id);
        // Whoever sent chunks and a length as well, which is taken off before we see it, may have meant another end of the body
        // than we do: what follows it is no request (RFC 9112, 6.1).
        if is_chunked || !body.clear().await {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
    .instrument(traced)
    .instrument(span)
    .await
}

/// The problem again, with the id; headers that were added meanwhile stay (`Allow`, say).
fn with_id(problem: Problem, response: &Response, id: &str) -> Response {
    let mut again = problem.respond(Some(id));
    for (name, value) in response.headers() {
        if !again.headers().contains_key(name) && name != axum::http::header::CONTENT_LENGTH {
            again.headers_mut().append(name, value.clone());
        }
    }
    again
}

fn dress(headers: &mut HeaderMap, id: &str) {
    if let Ok(value) = HeaderValue::from_str(id) {
        headers.insert(REQUEST_ID, value);
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

/// The client's id if it is short and plain, else a fresh one: what ends up in logs must not be anybody's text.
fn request_id(headers: &HeaderMap) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    headers
        .get(&REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .filter(|id| !id.is_empty() && id.len() <= REQUEST_ID_BYTES_MAX && id.bytes().all(plain))
        .map_or_else(|| Uuid::new_v4().to_string(), str::to_owned)
}

/// A method as a label: clients may send any word.
fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::PATCH => "PATCH",
        Method::OPTIONS => "OPTIONS",
        _ => "OTHER",
    }
}

/// The log line of a request; written when it is dropped, so that one whose client goes away has its line too. Nothing of what was
/// sent or answered is in it.
struct Line {
    app: App,
    method: &'static str,
    route: String,
    begun: Instant,
    status: u16,
    /// What it asked of the database by itself; reports are stored by others, for many requests at once.
    cost: Arc<Cost>,
}

impl Drop for Line {
    fn drop(&mut self) {
        let duration = self.begun.elapsed();
        self.app.metrics.http.record(self.method, &self.route, self.status, duration);
        let duration_us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        tracing::info!(
            http.method = self.method,
            http.route = self.route,
            http.status = self.status,
            duration_us,
            db.queries = self.cost.queries(),
            db.rows = self.cost.rows(),
            db.duration_us = self.cost.duration_us(),
            "{} {} answered {}",
            self.method,
            self.route,
            self.status
        );
    }
}

/// A panic becomes a plain 500; its message is in the log already, by the panic hook.
pub(super) fn after_panic(_: Box<dyn std::any::Any + Send>) -> Response {
    tracing::error!("a handler panicked");
    Problem::internal().respond(None)
}

/// No route has this path.
pub(super) async fn unknown_route() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "unknown_route", "there is nothing here; /docs lists what there is")
}

/// The path exists, the method does not.
pub(super) async fn wrong_method(method: Method) -> Problem {
    let detail = format!("this path does not answer {method}; the Allow header lists what it does");
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
}

#[cfg(test)]
mod tests {
    use crate::http::testing::{Api, app};
    use axum::routing::get;
    use axum_test::TestServer;
    use serde_json::Value;

    #[tokio::test]
    async fn a_sane_id_is_kept_and_any_other_replaced() {
        let api = Api::start().await;
        let id = async |given: &str| {
            let response = api.server.get("/v1/agents").add_header("x-request-id", given).await;
            let shown = response.header("x-request-id").to_str().unwrap().to_owned();
            assert_eq!(response.json::<Value>()["request_id"], shown.as_str());
            shown
        };
        assert_eq!(id("trace-1.a:b_C").await, "trace-1.a:b_C");
        for odd in ["", "a b", "a\"b", "é", &"x".repeat(129)] {
            assert_eq!(id(odd).await.len(), 36, "{odd}");
        }
    }

    #[tokio::test]
    async fn unknown_routes_and_methods_are_problems_too() {
        let api = Api::start().await;
        let lost = api.server.get("/v2/agents").await;
        lost.assert_status_not_found();
        assert_eq!(lost.header("content-type"), "application/problem+json");
        assert_eq!(lost.json::<Value>()["code"], "unknown_route");
        for path in ["/v1/agents", "/healthz", "/openapi.json"] {
            let wrong = api.server.patch(path).await;
            assert_eq!(wrong.status_code(), 405, "{path}");
            assert_eq!(wrong.json::<Value>()["code"], "method_not_allowed");
            assert!(wrong.header("allow").to_str().unwrap().contains("GET"), "{path}");
        }
        let home = api.server.get("/").await;
        assert_eq!((home.status_code().as_u16(), home.header("location").to_str().unwrap()), (307, "/docs/"));
    }

    #[tokio::test]
    async fn compressed_problems_can_be_read() {
        let api = Api::start().await;
        let response = api.server.get("/v1/agents").add_header("accept-encoding", "gzip").await;
        response.assert_status_unauthorized();
        assert_eq!(response.header("content-encoding"), "gzip");
        assert_eq!(response.as_bytes()[..2], [0x1f, 0x8b], "what says that it is gzip is gzip");
    }

    #[tokio::test]
    async fn a_panic_becomes_a_problem_without_details() {
        let api = Api::start().await;
        let app = app(&api.database, &api.clock);
        let panics = async || -> &'static str { panic!("secret detail") };
        let router = axum::Router::new()
            .route("/", get(panics))
            .layer(tower_http::catch_panic::CatchPanicLayer::custom(super::after_panic))
            .layer(axum::middleware::from_fn_with_state(app.clone(), super::accompany))
            .with_state(app);
        let response = TestServer::new(router).get("/").await;
        response.assert_status_internal_server_error();
        assert_eq!(response.json::<Value>()["code"], "internal");
        assert!(!response.text().contains("secret"));
    }
}
