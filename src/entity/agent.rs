//! Agents: who works.
use super::{Entity, Name, Put, PutQuery, Reference, Runtime, Statements, Table, Workspace, statements};
use crate::model::instant::Instant;
use crate::model::labels::Labels;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// Who works. The workspace of usage is the agent's, everywhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, sqlx::FromRow, ToSchema)]
pub struct Agent {
    /// Its id.
    pub id: Uuid,
    /// Whose it is, and whose its usage is.
    pub workspace_id: Uuid,
    /// What people call it.
    #[schema(example = "reviewer")]
    pub name: String,
    /// Where it usually runs.
    pub runtime_id: Option<Uuid>,
    /// What else it is found by.
    pub labels: Labels,
    /// When it was made; null where an adopted database does not say.
    pub created_at: Option<Instant>,
    /// When it was archived.
    pub archived_at: Option<Instant>,
}

/// What a client says of an agent. With another workspace than stored, the agent and all its usage move there.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"workspace_id": "7b0d9c52-6a0e-4d5e-9a43-0d2f6f1d9c01", "name": "reviewer", "runtime_id": "c1f5b8a4-3b57-4f6b-8f0e-5f2f5a0f7e02", "labels": {"team": "search"}}))]
pub struct AgentBody {
    /// Whose it is, and whose its usage is.
    pub workspace_id: Uuid,
    /// What people call it.
    pub name: Name,
    /// Where it usually runs.
    pub runtime_id: Option<Uuid>,
    /// What else it is found by.
    #[serde(default)]
    pub labels: Labels,
}

impl Entity for Agent {
    type Body = AgentBody;
    const ONE: &'static str = "agent";
    const MANY: &'static str = "agents";
    const TABLE: Table = Table::Agent;
    const SQL: Statements = statements! {
        table: "public.agent",
        name: "e.name",
        from: "public.agent e",
        workspace: "e.workspace_id",
        columns: "e.id, e.workspace_id, e.name, e.runtime_id",
        put: "agent_put.sql",
        own: "old.workspace_id = $2",
        purge: [],
        sealed: ["agent"]
    };
    const VALUES: &'static [Put] =
        &[Put::needed("workspace_id", "$4"), Put::needed("name", "$5"), Put::needed("runtime_id", "$6")];
    const LABELS: &'static str = "$7";

    fn id(&self) -> Uuid {
        self.id
    }

    fn references(body: &AgentBody) -> Vec<Reference> {
        let runtime = body.runtime_id.map(|id| Reference::to::<Runtime>("runtime_id", id));
        [Reference::to::<Workspace>("workspace_id", body.workspace_id)].into_iter().chain(runtime).collect()
    }

    fn leaves_out(body: &AgentBody, column: &str) -> bool {
        column == "runtime_id" && body.runtime_id.is_none()
    }

    fn bind(query: PutQuery<Self>, body: AgentBody) -> PutQuery<Self> {
        query.bind(body.workspace_id).bind(body.name).bind(body.runtime_id).bind(body.labels)
    }
}
