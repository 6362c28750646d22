//! Problems: every answer that is not a success, as RFC 9457 `application/problem+json` with a stable `code`.
//!
//! Invariant: a 5xx says nothing of what went wrong inside; the log has it, under the same request id.
use crate::db::error::{Cause, INSUFFICIENT_PRIVILEGE, cause, sqlstate};
use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::time::Duration;
use uuid::Uuid;

/// Media type of a problem.
pub const MEDIA_TYPE: &str = "application/problem+json";
/// Characters of any text in a problem: enough to know it again. Clients choose names, and some are long.
const TEXT_CHARACTERS_MAX: usize = 300;
/// When to try again after losing against another transaction.
const CONFLICT_RETRY: Duration = Duration::from_secs(1);
/// When to try again after the database was away.
const UNAVAILABLE_RETRY: Duration = Duration::from_secs(2);

/// Why a request was not answered as asked: what was wrong, where, and what to do.
#[derive(Clone, Debug)]
pub struct Problem(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    status: StatusCode,
    code: &'static str,
    detail: String,
    members: Map<String, Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// A problem of kind `code`, which clients may rely on; `detail` is for people.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self(Box::new(Inner { status, code, detail: detail.into(), members: Map::new(), headers: Vec::new() }))
    }

    /// 400: the request cannot be understood.
    pub fn bad_request(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// 400 on account of one field, or one parameter, which is named.
    pub fn field(field: &str, reason: impl std::fmt::Display) -> Self {
        Self::bad_request("invalid_field", format!("{field}: {reason}")).with("field", field)
    }

    /// 404: there is nothing of the kind that the caller may see.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    /// The same for one of a kind: none that is there, or none of the caller's, which look alike.
    pub fn unseen(kind: &str, id: Uuid) -> Self {
        Self::not_found(format!("there is no {kind} {id} that this token may see"))
    }

    /// 409: what is stored does not allow it.
    pub fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, detail)
    }

    /// 401: no token, or one that opens nothing.
    pub fn unauthenticated(code: &'static str, challenge: &'static str, detail: &'static str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, code, detail).header(WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
    }

    /// 503: not now; the same request may succeed after `retry`.
    pub fn unavailable(code: &'static str, detail: impl Into<String>, retry: Duration) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail).header(RETRY_AFTER, HeaderValue::from(retry.as_secs()))
    }

    /// 429: the caller asks too much; the same request may succeed after `wait`.
    pub fn too_many(detail: impl Into<String>, wait: Duration) -> Self {
        // In whole seconds, none of them too early.
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail).header(RETRY_AFTER, HeaderValue::from(seconds.max(1)))
    }

    /// 500: a statement of ours was refused by the database.
    pub fn failed(error: &sqlx::Error) -> Self {
        if sqlstate(error).as_deref() != Some(INSUFFICIENT_PRIVILEGE) {
            return Self::internal();
        }
        let detail = "the service's role lacks a right in the database; its log tells which under the request id";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "right_missing", detail)
    }

    /// 500, which tells nothing.
    pub fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "this is a defect of the service; its log tells more under the request id",
        )
    }

    /// Adds an extension member.
    ///
    /// # Panics
    /// When `value` is no plain data, such as a map with keys that are no strings.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl Serialize) -> Self {
        let value = serde_json::to_value(value).expect("members of problems are plain data");
        self.0.members.insert(key.to_owned(), value);
        self
    }

    fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    /// Its HTTP status.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// Its stable name.
    pub fn code(&self) -> &'static str {
        self.0.code
    }

    /// What it says to people.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// The document; the request's id is added by whoever knows it.
    pub(super) fn document(&self, request_id: Option<&str>) -> Value {
        let mut document = json!({
            "type": format!("urn:tallybook:problem:{}", self.0.code),
            "title": title(self.0.code),
            "status": self.0.status.as_u16(),
            "detail": self.0.detail,
            "code": self.0.code,
        });
        if let Value::Object(members) = &mut document {
            members.extend(self.0.members.clone());
            members.extend(request_id.map(|id| ("request_id".to_owned(), Value::from(id))));
        }
        abridge(&mut document);
        document
    }

    pub(super) fn respond(self, request_id: Option<&str>) -> Response {
        let mut response = Response::new(Body::from(self.document(request_id).to_string()));
        *response.status_mut() = self.0.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        for (name, value) in &self.0.headers {
            headers.insert(name, value.clone());
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// Cuts long texts, wherever they are.
fn abridge(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Some((end, _)) = text.char_indices().nth(TEXT_CHARACTERS_MAX) {
                text.truncate(end);
                text.push('…');
            }
        }
        Value::Array(items) => items.iter_mut().for_each(abridge),
        Value::Object(members) => members.values_mut().for_each(abridge),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// `unknown_parameter` reads "Unknown parameter".
fn title(code: &str) -> String {
    let mut title = code.replace('_', " ");
    if let Some(first) = title.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    title
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        self.respond(None)
    }
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        match cause(&error) {
            Cause::Unavailable => {
                tracing::warn!(%error, "the database does not answer");
                Self::unavailable("database_unavailable", "the database does not answer; try again", UNAVAILABLE_RETRY)
            }
            Cause::Timeout => {
                tracing::warn!(%error, "the database took too long");
                Self::unavailable("database_timeout", "the database took too long; try again, or ask for less", UNAVAILABLE_RETRY)
            }
            Cause::Conflict => {
                tracing::info!(%error, "a transaction lost against another");
                Self::unavailable("conflicting_change", "something else changed the same data; try again", CONFLICT_RETRY)
            }
            Cause::Other => {
                tracing::error!(%error, "a statement failed");
                Self::failed(&error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_says_what_where_and_for_which_request() {
        let problem = Problem::field("days", "a whole number from 1 to 3660, not \"x\"");
        let expected = json!({
            "type": "urn:tallybook:problem:invalid_field",
            "title": "Invalid field",
            "status": 400,
            "detail": "days: a whole number from 1 to 3660, not \"x\"",
            "code": "invalid_field",
            "field": "days",
            "request_id": "r-1",
        });
        assert_eq!(problem.document(Some("r-1")), expected);
    }

    #[test]
    fn a_failed_statement_tells_nothing_and_an_absent_database_says_when_to_retry() {
        let defect = Problem::from(sqlx::Error::ColumnNotFound("secret_column".into()));
        assert_eq!(defect.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!defect.document(None).to_string().contains("secret_column"));
        let away = Problem::from(sqlx::Error::PoolTimedOut).into_response();
        assert_eq!(away.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(away.headers()[RETRY_AFTER], "2");
    }
}
