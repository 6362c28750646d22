//! A service for tests: the real router on a database of its own, with a clock that stands still.
use super::{App, limits, router};
use crate::access::{self, New, Scope};
use crate::audit::Actor;
use crate::clock::Clock;
use crate::ingest::{Ingest, Limits};
use crate::query::Reading;
use crate::telemetry::metrics::Metrics;
use crate::testing::{self, TestDatabase};
use axum_test::{TestRequest, TestServer};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

/// What the clocks of tests show.
pub(crate) const NOW: &str = "2026-03-10T12:00:00Z";

/// However busy the machine is.
const PROBE_TIMEOUT: Duration = Duration::from_mins(1);

/// An app on `database`, at `clock`'s time.
pub(crate) fn app(database: &TestDatabase, clock: &Clock) -> App {
    let (pool, clock, metrics) = (database.pool.clone(), clock.clone(), Arc::new(Metrics::new()));
    let ingest = Ingest::observed(pool.clone(), clock.clone(), &TaskTracker::new(), Limits::default(), Arc::clone(&metrics));
    let app = App::new(pool, clock, ingest, metrics);
    App { limits: limits::Limits { probe_timeout: PROBE_TIMEOUT, ..app.limits }, ..app }
}

/// A service on `database`, at the machine's time.
pub(crate) fn server(database: &TestDatabase) -> TestServer {
    TestServer::new(router(app(database, &Clock::system())))
}

/// A token that opens everything.
pub(crate) async fn admin_token(database: &TestDatabase) -> String {
    token(database, None, &[Scope::Admin]).await
}

/// A token that opens what it is told to.
pub(crate) async fn token(database: &TestDatabase, workspace: Option<Uuid>, scopes: &[Scope]) -> String {
    let new = New { name: "test".into(), workspace, scopes: scopes.to_vec(), expires_at: None };
    let (secret, _) = access::create(&database.pool, &Clock::system(), &Actor::cli(), new).await.expect("a token can be made");
    secret.reveal().to_owned()
}

/// The same id for the same name, in every test.
pub(crate) fn id(name: &str) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes())
}

/// A service with a token that opens everything, and ways to fill it.
pub(crate) struct Api {
    pub(crate) database: TestDatabase,
    pub(crate) server: TestServer,
    pub(crate) clock: Clock,
    pub(crate) admin: String,
}

impl Api {
    pub(crate) async fn start() -> Self {
        Self::on(testing::database().await).await
    }

    /// On source tables that somebody else has made.
    pub(crate) async fn adopted() -> Self {
        Self::on(testing::adopted_database().await).await
    }

    async fn on(database: TestDatabase) -> Self {
        let clock = Clock::fixed(NOW.parse().expect("a time"));
        let server = TestServer::new(router(app(&database, &clock)));
        let admin = admin_token(&database).await;
        Self { database, server, clock, admin }
    }

    /// A service on the same database that reads from raw.
    pub(crate) fn reading_raw(&self) -> TestServer {
        TestServer::new(router(App { reading: Reading::Raw, ..app(&self.database, &self.clock) }))
    }

    pub(crate) async fn token(&self, workspace: Option<Uuid>, scopes: &[Scope]) -> String {
        token(&self.database, workspace, scopes).await
    }

    /// Asks with `token`.
    pub(crate) fn with<'a>(&'a self, token: &'a str) -> Client<'a> {
        Client { server: &self.server, token }
    }

    pub(crate) fn get(&self, path: &str) -> TestRequest {
        self.with(&self.admin).get(path)
    }

    pub(crate) fn put(&self, path: &str, body: &Value) -> TestRequest {
        self.with(&self.admin).put(path, body)
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> TestRequest {
        self.with(&self.admin).post(path, body)
    }

    pub(crate) fn delete(&self, path: &str) -> TestRequest {
        self.with(&self.admin).delete(path)
    }

    /// Makes one of each kind.
    pub(crate) async fn world(&self) {
        self.make(world()).await;
    }

    /// Makes one of each kind in another workspace.
    pub(crate) async fn other_world(&self) {
        self.make(other_world()).await;
    }

    /// Usage of `task`, as the database has it: `output` tokens are a tenth of `input`, the others a hundredth each.
    pub(crate) async fn use_tokens(&self, task: &str, at: &str, model: &str, input: i64, cost_usd_ticks: Option<i64>) {
        sqlx::query(
            "insert into public.task_usage (task_id, provider, model, event_key, input_tokens, output_tokens,
               cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, cost_usd_ticks, created_at)
             values ($1, 'Anthropic', $2, $3, $4, $4 / 10, $4 / 100, $4 / 100, $4 / 100, $5, $3::timestamptz)",
        )
        .bind(id(task))
        .bind(model)
        .bind(at)
        .bind(input)
        .bind(cost_usd_ticks)
        .execute(&self.database.pool)
        .await
        .expect("usage can be stored");
    }

    async fn make(&self, world: Vec<(String, Value)>) {
        for (path, body) in world {
            self.put(&path, &body).await.assert_status(axum::http::StatusCode::CREATED);
        }
    }
}

/// Who asks with a token.
pub(crate) struct Client<'a> {
    server: &'a TestServer,
    token: &'a str,
}

impl Client<'_> {
    pub(crate) fn get(&self, path: &str) -> TestRequest {
        self.server.get(path).authorization_bearer(self.token)
    }

    pub(crate) fn put(&self, path: &str, body: &Value) -> TestRequest {
        self.server.put(path).authorization_bearer(self.token).json(body)
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> TestRequest {
        self.server.post(path).authorization_bearer(self.token).json(body)
    }

    pub(crate) fn delete(&self, path: &str) -> TestRequest {
        self.server.delete(path).authorization_bearer(self.token)
    }
}

/// One of each kind: path and body, in an order in which they can be made.
pub(crate) fn world() -> Vec<(String, Value)> {
    one_of_each("")
}

/// The same in another workspace.
pub(crate) fn other_world() -> Vec<(String, Value)> {
    one_of_each("other ")
}

fn one_of_each(prefix: &str) -> Vec<(String, Value)> {
    let id = |name: &str| id(&format!("{prefix}{name}"));
    let name = |name: &str| format!("{prefix}{name}");
    let workspace = id("workspace");
    let put = |kind: &str, body| (format!("/v1/{kind}s/{}", id(kind)), body);
    vec![
        put(
            "workspace",
            json!({"name": name("workspace"), "slug": name("workspace").replace(' ', "-"), "labels": {"plan": "team"}}),
        ),
        put(
            "runtime",
            json!({"workspace_id": workspace, "name": name("runtime"), "provider": "anthropic", "labels": {"region": "eu"}}),
        ),
        put(
            "agent",
            json!({"workspace_id": workspace, "name": name("agent"), "runtime_id": id("runtime"), "labels": {"team": "search"}}),
        ),
        put("project", json!({"workspace_id": workspace, "title": name("project"), "labels": {}})),
        put("issue", json!({"workspace_id": workspace, "title": name("issue"), "project_id": id("project"), "labels": {}})),
        put(
            "task",
            json!({"agent_id": id("agent"), "issue_id": id("issue"), "runtime_id": id("runtime"), "status": "completed",
                "failure_reason": null, "labels": {"branch": "main"}, "started_at": "2026-03-10T10:00:00Z",
                "completed_at": "2026-03-10T11:00:00Z"}),
        ),
    ]
}
