//! Spans for traces: requests, transactions, folds, slices.
//!
//! They have a target of their own at the lowest level, so that logs and their prefixes stay as they are, and nobody pays for them where no
//! traces are made.
//!
//! What is a transaction says so where it is: `#[tracing::instrument(target = "tallybook::trace", level = "trace", ...)]`.
use axum::http::HeaderMap;
use tracing::field::Empty;
use tracing::{Span, trace_span};

/// Where the spans of traces are.
pub const TARGET: &str = "tallybook::trace";

/// A request; it goes on with the trace of its caller where the headers name one.
pub fn request(method: &'static str, route: &str, id: &str, headers: &HeaderMap) -> Span {
    let span = trace_span!(
        target: TARGET,
        "request",
        otel.name = format!("{method} {route}"),
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = method,
        http.route = route,
        http.response.status_code = Empty,
        request.id = id,
    );
    super::trace::go_on(&span, headers);
    span
}

/// Notes what a request was answered.
pub fn answered(span: &Span, status: u16) {
    span.record("http.response.status_code", status);
    if status >= 500 {
        span.record("otel.status_code", "ERROR");
    }
}

/// A transaction that stores reports on behalf of several requests; it is linked to the spans of all of them.
pub fn store_reports<'a>(requests: impl Iterator<Item = &'a Span>) -> Span {
    let span = trace_span!(
        target: TARGET,
        parent: None,
        "transaction",
        otel.name = "store reports",
        otel.kind = "client",
        db.system.name = "postgresql",
        otel.status_code = Empty,
    );
    for request in requests {
        span.follows_from(request);
    }
    span
}
