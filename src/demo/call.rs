//! A request of the fleet's, before it is sent.
use serde_json::{Value, json};
use uuid::Uuid;

/// What to ask of the service.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) path: String,
    /// How many usage reports it carries.
    pub(super) reports: u32,
}

/// How to ask it, and with what.
#[derive(Clone, Debug)]
pub(super) enum Method {
    Put(Value),
    Post(Value),
    Delete,
}

impl Call {
    /// Makes or replaces an entity.
    pub(super) fn put(kind: &str, id: Uuid, body: Value) -> Self {
        Self { method: Method::Put(body), path: format!("/v1/{kind}/{id}"), reports: 0 }
    }

    /// Hides an entity; its usage stays.
    pub(super) fn archive(kind: &str, id: Uuid) -> Self {
        Self { method: Method::Delete, path: format!("/v1/{kind}/{id}"), reports: 0 }
    }

    /// Removes an entity with its usage.
    pub(super) fn purge(kind: &str, id: Uuid) -> Self {
        Self { method: Method::Delete, path: format!("/v1/{kind}/{id}?purge=true"), reports: 0 }
    }

    /// Moves all tasks of a runtime.
    pub(super) fn reassign(from: Uuid, to: Uuid) -> Self {
        let body = json!({ "to": to });
        Self { method: Method::Post(body), path: format!("/v1/runtimes/{from}/reassign-tasks"), reports: 0 }
    }

    /// Reports usage.
    pub(super) fn report(reports: &[Value]) -> Self {
        let count = u32::try_from(reports.len()).expect("the fleet sends a few at a time");
        Self { method: Method::Post(json!({ "reports": reports })), path: "/v1/usage".to_owned(), reports: count }
    }
}
