//! Tasks: single runs of agents.
use super::{Agent, Entity, Issue, Put, PutQuery, Reason, Reference, Runtime, Statements, Table, statements};
use crate::model::instant::Instant;
use crate::model::labels::Labels;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// One run of an agent. Its workspace is its agent's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, sqlx::FromRow, ToSchema)]
pub struct Task {
    /// Its id.
    pub id: Uuid,
    /// Its agent's workspace.
    pub workspace_id: Uuid,
    /// Who works.
    pub agent_id: Uuid,
    /// What is worked on.
    pub issue_id: Option<Uuid>,
    /// Where it runs; null is kept as unattributed, never dropped.
    pub runtime_id: Option<Uuid>,
    /// Where it stands; an adopted database may hold other words.
    #[schema(example = "completed")]
    pub status: String,
    /// Why it failed.
    pub failure_reason: Option<String>,
    /// What else it is found by.
    pub labels: Labels,
    /// When it was queued; null where an adopted database does not say.
    pub created_at: Option<Instant>,
    /// When work on it began.
    pub started_at: Option<Instant>,
    /// When it ended, well or badly.
    pub completed_at: Option<Instant>,
    /// When it was archived.
    pub archived_at: Option<Instant>,
}

/// Where a task stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Status {
    /// It waits.
    #[default]
    Queued,
    /// Its agent works.
    Running,
    /// It ended well.
    Completed,
    /// It ended badly.
    Failed,
    /// Somebody ended it.
    Cancelled,
}

/// What a client says of a task. With another agent, runtime or issue than stored, all its usage moves there.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"agent_id": "f0c1a0b2-52ab-4f4c-9a4c-6f0b3a1e4d03", "runtime_id": "c1f5b8a4-3b57-4f6b-8f0e-5f2f5a0f7e02", "issue_id": null, "status": "running", "started_at": "2026-03-01T09:30:00Z"}))]
pub struct TaskBody {
    /// Who works.
    pub agent_id: Uuid,
    /// What is worked on.
    pub issue_id: Option<Uuid>,
    /// Where it runs; null or left out: unattributed.
    pub runtime_id: Option<Uuid>,
    /// Where it stands.
    #[serde(default)]
    pub status: Status,
    /// Why it failed.
    pub failure_reason: Option<Reason>,
    /// What else it is found by.
    #[serde(default)]
    pub labels: Labels,
    /// When it was queued; left out, a new task was queued now and an old one keeps its time.
    pub created_at: Option<Instant>,
    /// When work on it began.
    pub started_at: Option<Instant>,
    /// When it ended, well or badly.
    pub completed_at: Option<Instant>,
}

impl Entity for Task {
    type Body = TaskBody;
    const ONE: &'static str = "task";
    const MANY: &'static str = "tasks";
    const TABLE: Table = Table::Task;
    const SQL: Statements = statements! {
        table: "public.agent_task_queue",
        name: "null::text",
        from: "public.agent_task_queue e join public.agent a on a.id = e.agent_id",
        workspace: "a.workspace_id",
        columns: "e.id, a.workspace_id, e.agent_id, e.issue_id, e.runtime_id, e.status, e.failure_reason, e.started_at, e.completed_at",
        put: "task_put.sql",
        own: "exists (select from public.agent own where own.id = old.agent_id and own.workspace_id = $2)",
        purge: [],
        sealed: []
    };
    const VALUES: &'static [Put] = &[
        Put::needed("agent_id", "$4"),
        Put::needed("issue_id", "$5"),
        Put::needed("runtime_id", "$6"),
        Put::needed("status", "$7"),
        Put::needed("failure_reason", "$8"),
        Put::time("created_at", "coalesce($10, $3)"),
        Put::time("started_at", "$11"),
        Put::time("completed_at", "$12"),
    ];
    const LABELS: &'static str = "$9";

    fn id(&self) -> Uuid {
        self.id
    }

    fn references(body: &TaskBody) -> Vec<Reference> {
        let issue = body.issue_id.map(|id| Reference::to::<Issue>("issue_id", id));
        let runtime = body.runtime_id.map(|id| Reference::to::<Runtime>("runtime_id", id));
        [Reference::to::<Agent>("agent_id", body.agent_id)].into_iter().chain(issue).chain(runtime).collect()
    }

    fn leaves_out(body: &TaskBody, column: &str) -> bool {
        match column {
            "failure_reason" => body.failure_reason.is_none(),
            "created_at" => body.created_at.is_none(),
            "started_at" => body.started_at.is_none(),
            "completed_at" => body.completed_at.is_none(),
            _ => false,
        }
    }

    fn bind(query: PutQuery<Self>, body: TaskBody) -> PutQuery<Self> {
        query
            .bind(body.agent_id)
            .bind(body.issue_id)
            .bind(body.runtime_id)
            .bind(body.status)
            .bind(body.failure_reason)
            .bind(body.labels)
            .bind(body.created_at)
            .bind(body.started_at)
            .bind(body.completed_at)
    }
}
