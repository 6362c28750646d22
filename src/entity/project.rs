//! Projects: groups of issues.
use super::{Entity, Name, Put, PutQuery, Reference, Statements, Table, Workspace, statements};
use crate::model::instant::Instant;
use crate::model::labels::Labels;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// A group of issues.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, sqlx::FromRow, ToSchema)]
pub struct Project {
    /// Its id.
    pub id: Uuid,
    /// Whose it is.
    pub workspace_id: Uuid,
    /// What people call it.
    #[schema(example = "Checkout")]
    pub title: String,
    /// What else it is found by.
    pub labels: Labels,
    /// When it was made; null where an adopted database does not say.
    pub created_at: Option<Instant>,
    /// When it was archived.
    pub archived_at: Option<Instant>,
}

/// What a client says of a project.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"workspace_id": "7b0d9c52-6a0e-4d5e-9a43-0d2f6f1d9c01", "title": "Checkout", "labels": {"cost_center": "4711"}}))]
pub struct ProjectBody {
    /// Whose it is.
    pub workspace_id: Uuid,
    /// What people call it.
    pub title: Name,
    /// What else it is found by.
    #[serde(default)]
    pub labels: Labels,
}

impl Entity for Project {
    type Body = ProjectBody;
    const ONE: &'static str = "project";
    const MANY: &'static str = "projects";
    const TABLE: Table = Table::Project;
    const SQL: Statements = statements! {
        table: "public.project",
        name: "e.title",
        from: "public.project e",
        workspace: "e.workspace_id",
        columns: "e.id, e.workspace_id, e.title",
        put: "project_put.sql",
        own: "old.workspace_id = $2",
        purge: [],
        sealed: ["project"]
    };
    const VALUES: &'static [Put] = &[Put::needed("workspace_id", "$4"), Put::needed("title", "$5")];
    const LABELS: &'static str = "$6";

    fn id(&self) -> Uuid {
        self.id
    }

    fn references(body: &ProjectBody) -> Vec<Reference> {
        vec![Reference::to::<Workspace>("workspace_id", body.workspace_id)]
    }

    fn bind(query: PutQuery<Self>, body: ProjectBody) -> PutQuery<Self> {
        query.bind(body.workspace_id).bind(body.title).bind(body.labels)
    }
}
