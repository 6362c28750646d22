//! Issues: what is worked on.
use super::{Entity, Name, Project, Put, PutQuery, Reference, Statements, Table, Workspace, statements};
use crate::model::instant::Instant;
use crate::model::labels::Labels;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// What is worked on; its workspace may differ from that of the agents who work on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, sqlx::FromRow, ToSchema)]
pub struct Issue {
    /// Its id.
    pub id: Uuid,
    /// Whose it is.
    pub workspace_id: Uuid,
    /// What people call it.
    #[schema(example = "Payment times out")]
    pub title: String,
    /// The project that it belongs to.
    pub project_id: Option<Uuid>,
    /// What else it is found by.
    pub labels: Labels,
    /// When it was made; null where an adopted database does not say.
    pub created_at: Option<Instant>,
    /// When it was archived.
    pub archived_at: Option<Instant>,
}

/// What a client says of an issue. With another project than stored, all usage on it moves there.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"workspace_id": "7b0d9c52-6a0e-4d5e-9a43-0d2f6f1d9c01", "title": "Payment times out", "project_id": null}))]
pub struct IssueBody {
    /// Whose it is.
    pub workspace_id: Uuid,
    /// What people call it.
    pub title: Name,
    /// The project that it belongs to.
    pub project_id: Option<Uuid>,
    /// What else it is found by.
    #[serde(default)]
    pub labels: Labels,
}

impl Entity for Issue {
    type Body = IssueBody;
    const ONE: &'static str = "issue";
    const MANY: &'static str = "issues";
    const TABLE: Table = Table::Issue;
    const SQL: Statements = statements! {
        table: "public.issue",
        name: "e.title",
        from: "public.issue e",
        workspace: "e.workspace_id",
        columns: "e.id, e.workspace_id, e.title, e.project_id",
        put: "issue_put.sql",
        own: "old.workspace_id = $2",
        purge: [],
        sealed: []
    };
    const VALUES: &'static [Put] =
        &[Put::needed("workspace_id", "$4"), Put::needed("title", "$5"), Put::needed("project_id", "$6")];
    const LABELS: &'static str = "$7";

    fn id(&self) -> Uuid {
        self.id
    }

    fn references(body: &IssueBody) -> Vec<Reference> {
        let project = body.project_id.map(|id| Reference::to::<Project>("project_id", id));
        [Reference::to::<Workspace>("workspace_id", body.workspace_id)].into_iter().chain(project).collect()
    }

    fn bind(query: PutQuery<Self>, body: IssueBody) -> PutQuery<Self> {
        query.bind(body.workspace_id).bind(body.title).bind(body.project_id).bind(body.labels)
    }
}
