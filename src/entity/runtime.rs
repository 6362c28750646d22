//! Runtimes: where agents run.
use super::{Entity, Name, Provider, Put, PutQuery, Reference, Statements, Table, Workspace, statements};
use crate::model::instant::Instant;
use crate::model::labels::Labels;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// Where agents run: a machine, a container, a hosted service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, sqlx::FromRow, ToSchema)]
pub struct Runtime {
    /// Its id.
    pub id: Uuid,
    /// Whose it is.
    pub workspace_id: Uuid,
    /// What people call it.
    #[schema(example = "build-7")]
    pub name: String,
    /// Whose models it mostly calls; empty when nobody said.
    #[schema(example = "anthropic")]
    pub provider: String,
    /// What else it is found by.
    pub labels: Labels,
    /// When it was made; null where an adopted database does not say.
    pub created_at: Option<Instant>,
    /// When it was archived.
    pub archived_at: Option<Instant>,
}

/// What a client says of a runtime.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"workspace_id": "7b0d9c52-6a0e-4d5e-9a43-0d2f6f1d9c01", "name": "build-7", "provider": "anthropic", "labels": {"region": "eu"}}))]
pub struct RuntimeBody {
    /// Whose it is.
    pub workspace_id: Uuid,
    /// What people call it.
    pub name: Name,
    /// Whose models it mostly calls.
    #[serde(default)]
    pub provider: Provider,
    /// What else it is found by.
    #[serde(default)]
    pub labels: Labels,
}

impl Entity for Runtime {
    type Body = RuntimeBody;
    const ONE: &'static str = "runtime";
    const MANY: &'static str = "runtimes";
    const TABLE: Table = Table::Runtime;
    const SQL: Statements = statements! {
        table: "public.agent_runtime",
        name: "e.name",
        from: "public.agent_runtime e",
        workspace: "e.workspace_id",
        columns: "e.id, e.workspace_id, e.name, e.provider",
        put: "runtime_put.sql",
        own: "old.workspace_id = $2",
        purge: [],
        sealed: ["runtime"]
    };
    const VALUES: &'static [Put] = &[Put::needed("workspace_id", "$4"), Put::needed("name", "$5"), Put::needed("provider", "$6")];
    const LABELS: &'static str = "$7";

    fn id(&self) -> Uuid {
        self.id
    }

    fn references(body: &RuntimeBody) -> Vec<Reference> {
        vec![Reference::to::<Workspace>("workspace_id", body.workspace_id)]
    }

    fn leaves_out(body: &RuntimeBody, column: &str) -> bool {
        column == "provider" && body.provider == Provider::default()
    }

    fn bind(query: PutQuery<Self>, body: RuntimeBody) -> PutQuery<Self> {
        query.bind(body.workspace_id).bind(body.name).bind(body.provider).bind(body.labels)
    }
}
