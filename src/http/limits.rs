//! What clients may take: connections, time, bytes, and a place among the requests being answered.
use super::App;
use super::error::Problem;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Size of a body.
pub const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Size of a request's head: its line and all headers.
pub const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Until an ordinary request is answered.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Until a purge or a bulk move is done; they take seconds for each 100,000 tasks.
pub const BULK_TIMEOUT: Duration = Duration::from_mins(10);
/// Requests being answered at once; all others are asked to come again.
pub const REQUESTS_IN_FLIGHT_MAX: usize = 4_096;
/// When to come again.
const OVERLOAD_RETRY: Duration = Duration::from_secs(1);
const TIMEOUT_RETRY: Duration = Duration::from_secs(5);

/// What all clients together, and each of them, may take. Tests take less.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once; others wait in the kernel's queue.
    pub connections_max: usize,
    /// Until a client has come to terms with us on TLS.
    pub handshake_timeout: Duration,
    /// Until a request's head has arrived; also how long an idle connection is kept.
    pub head_timeout: Duration,
    /// Until a body has arrived.
    pub body_timeout: Duration,
    /// How long a client may leave an answer unread.
    pub unread_timeout: Duration,
    /// Bytes of the bodies of all requests being answered.
    pub bodies_bytes_max: usize,
    /// Until the database must have told how it stands, when a probe (`/readyz`, `/metrics`) asks.
    pub probe_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 8_192,
            handshake_timeout: Duration::from_secs(10),
            head_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(20),
            unread_timeout: Duration::from_mins(1),
            bodies_bytes_max: 16 * BODY_BYTES_MAX,
            probe_timeout: Duration::from_secs(3),
        }
    }
}

/// Room for bodies. Each takes it as its bytes arrive, so that who sends slowly keeps little from others.
#[derive(Clone, Debug)]
pub struct BodyRoom(Arc<Semaphore>);

/// What a body has of the room, given back when its request has been answered.
#[derive(Debug, Default)]
pub struct BodyPlace(Option<OwnedSemaphorePermit>);

impl BodyRoom {
    /// Room for so many bytes.
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes)))
    }

    /// Bytes that still find room.
    #[cfg(test)]
    pub(super) fn left(&self) -> usize {
        self.0.available_permits()
    }

    /// Adds room for `bytes` to `place`, or says when to come again.
    pub(super) fn extend(&self, place: &mut BodyPlace, bytes: usize) -> Result<(), Problem> {
        let more = u32::try_from(bytes).ok().and_then(|bytes| Arc::clone(&self.0).try_acquire_many_owned(bytes).ok());
        let full = || Problem::unavailable("overloaded", "too much is being sent at once; try again", OVERLOAD_RETRY);
        let more = more.ok_or_else(full)?;
        match &mut place.0 {
            Some(held) => held.merge(more),
            none => *none = Some(more),
        }
        Ok(())
    }
}

/// Places for [`REQUESTS_IN_FLIGHT_MAX`] requests.
pub(super) fn places() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(REQUESTS_IN_FLIGHT_MAX))
}

/// Answers with 503, at once, when too many requests are being answered.
pub(super) async fn crowd(State((app, places)): State<(App, Arc<Semaphore>)>, request: Request, next: Next) -> Response {
    let Ok(_place) = places.try_acquire() else {
        return refuse("overloaded", "too many requests are being answered; try again", OVERLOAD_RETRY);
    };
    app.metrics.http.in_flight.inc();
    let _gone = Gone(&app);
    next.run(request).await
}

/// Takes a request off the gauge, also when its client went away.
struct Gone<'a>(&'a App);

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        self.0.metrics.http.in_flight.dec();
    }
}

/// Answers with 503 when an ordinary request takes too long; what it began is rolled back.
pub(super) async fn patience(request: Request, next: Next) -> Response {
    within(REQUEST_TIMEOUT, request, next).await
}

/// The same for what may take longer.
pub(super) async fn long_patience(request: Request, next: Next) -> Response {
    within(BULK_TIMEOUT, request, next).await
}

async fn within(limit: Duration, request: Request, next: Next) -> Response {
    let detail = "this took too long and was given up; it is safe to try again";
    timeout(limit, next.run(request)).await.unwrap_or_else(|_| refuse("request_timeout", detail, TIMEOUT_RETRY))
}

fn refuse(code: &'static str, detail: &str, retry: Duration) -> Response {
    axum::response::IntoResponse::into_response(Problem::unavailable(code, detail, retry))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::body::Json;
    use crate::http::testing::{Api, app, id};
    use axum::Router;
    use axum::extract::FromRequest;
    use axum::http::StatusCode;
    use axum::middleware::{from_fn, from_fn_with_state};
    use axum::routing::get;
    use axum_test::TestServer;
    use serde_json::{Value, json};
    use sqlx::Executor;

    #[tokio::test]
    async fn a_body_that_is_too_large_is_refused() {
        let api = Api::start().await;
        let body = serde_json::json!({"name": "x".repeat(BODY_BYTES_MAX)});
        let response = api.put(&format!("/v1/workspaces/{}", id("w")), &body).await;
        response.assert_status_payload_too_large();
        let problem: Value = response.json();
        assert_eq!((&problem["code"], &problem["bytes_max"]), (&"body_too_large".into(), &BODY_BYTES_MAX.into()));
    }

    #[tokio::test]
    async fn a_body_of_unknown_length_is_counted() {
        let api = Api::start().await;
        let endless = futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b' '; 1024 * 1024]));
        let request = Request::builder().header("content-type", "application/json").body(axum::body::Body::from_stream(endless));
        let refused = Json::<Value>::from_request(request.unwrap(), &app(&api.database, &api.clock)).await;
        assert_eq!(refused.unwrap_err().code(), "body_too_large");
    }

    #[tokio::test]
    async fn bodies_share_a_room_and_leave_it_with_their_requests() {
        let api = Api::start().await;
        let app = App { body_room: BodyRoom::new(100), ..app(&api.database, &api.clock) };
        let read = async |size: usize| {
            let body = axum::body::Body::from(format!("{:>size$}", "{}"));
            let request = Request::builder().header("content-type", "application/json").body(body);
            Json::<Value>::from_request(request.unwrap(), &app).await
        };
        let first = read(60).await.unwrap();
        let refused = read(41).await.unwrap_err();
        assert_eq!((refused.status().as_u16(), refused.code()), (503, "overloaded"));
        let second = read(40).await.unwrap();
        assert!(read(2).await.is_err());
        drop((first, second));
        read(100).await.unwrap();
    }

    #[tokio::test]
    async fn only_json_is_read() {
        let api = Api::start().await;
        let path = format!("/v1/workspaces/{}", id("w"));
        let put = || api.put(&path, &serde_json::json!({"name": "W"}));
        assert_eq!(put().content_type("text/plain").await.status_code(), 415);
        assert_eq!(put().add_header("content-encoding", "gzip").await.status_code(), 415);
        put().content_type("application/json; charset=utf-8").await.assert_status(StatusCode::CREATED);
    }

    #[tokio::test]
    async fn what_takes_too_long_is_given_up_with_503() {
        let impatience = |request, next| within(Duration::ZERO, request, next);
        let router = Router::new().route("/", get(std::future::pending::<()>)).layer(from_fn(impatience));
        let response = TestServer::new(router).get("/").await;
        response.assert_status_service_unavailable();
        assert_eq!(response.json::<Value>()["code"], "request_timeout");
        assert_eq!(response.header("retry-after"), "5");
    }

    #[tokio::test]
    async fn the_server_works_on_nothing_longer_than_somebody_waits_for_it() {
        let api = Api::start().await;
        api.world().await;
        let mut snapshot = app(&api.database, &api.clock).ordinary_pool().begin().await.unwrap();
        let limit: String = sqlx::query_scalar("show statement_timeout").fetch_one(&mut *snapshot).await.unwrap();
        assert_eq!(limit, format!("{}s", REQUEST_TIMEOUT.as_secs()));
        snapshot.rollback().await.unwrap();

        api.database.pool.execute(include_str!("testing_limits.sql")).await.unwrap();
        let second = format!("/v1/runtimes/{}", id("second"));
        api.put(&second, &json!({"workspace_id": id("workspace"), "name": "second"})).await.assert_status(StatusCode::CREATED);
        api.delete(&format!("/v1/issues/{}", id("issue"))).await.assert_status_no_content();
        let reassign = format!("/v1/runtimes/{}/reassign-tasks", id("runtime"));
        api.post(&reassign, &json!({"to": id("second")})).await.assert_status_ok();
        api.delete(&format!("/v1/issues/{}?purge=true", id("issue"))).await.assert_status_no_content();
        let limits = "select format('%s %s: %s', operation, relation, statement_timeout) from limit_of order by 1";
        let seen: Vec<String> = sqlx::query_scalar(limits).fetch_all(&api.database.pool).await.unwrap();
        let expected =
            ["DELETE issue: 10min", "INSERT agent_runtime: 30s", "UPDATE agent_task_queue: 10min", "UPDATE issue: 30s"];
        assert_eq!(seen, expected);
    }

    #[tokio::test]
    async fn nobody_waits_in_a_crowd() {
        let api = Api::start().await;
        let app = app(&api.database, &api.clock);
        let none = Arc::new(Semaphore::new(0));
        let router = Router::new().route("/", get(|| async {})).layer(from_fn_with_state((app, none), crowd));
        let response = TestServer::new(router).get("/").await;
        response.assert_status_service_unavailable();
        assert_eq!(
            (&response.json::<Value>()["code"], response.header("retry-after").to_str().unwrap()),
            (&"overloaded".into(), "1")
        );
    }
}
