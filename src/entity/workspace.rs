//! Workspaces: the tenants.
use super::{Entity, Name, Put, PutQuery, Reference, Slug, Statements, Table, statements};
use crate::model::instant::Instant;
use crate::model::labels::Labels;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// A tenant: the unit that tokens are bound to and that usage is billed to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, sqlx::FromRow, ToSchema)]
pub struct Workspace {
    /// Its id.
    pub id: Uuid,
    /// What people call it.
    #[schema(example = "Acme")]
    pub name: String,
    /// Its name in addresses, which no other workspace has.
    #[schema(example = "acme")]
    pub slug: String,
    /// What else it is found by.
    pub labels: Labels,
    /// When it was made; null where an adopted database does not say.
    pub created_at: Option<Instant>,
    /// When it was archived.
    pub archived_at: Option<Instant>,
}

/// What a client says of a workspace.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Acme", "slug": "acme", "labels": {"plan": "team"}}))]
pub struct WorkspaceBody {
    /// What people call it.
    pub name: Name,
    /// Its name in addresses; left out, a new workspace gets one made of its name, and an old one keeps its own.
    pub slug: Option<Slug>,
    /// What else it is found by.
    #[serde(default)]
    pub labels: Labels,
}

impl Entity for Workspace {
    type Body = WorkspaceBody;
    const ONE: &'static str = "workspace";
    const MANY: &'static str = "workspaces";
    const TABLE: Table = Table::Workspace;
    const SQL: Statements = statements! {
        table: "public.workspace",
        name: "e.name",
        from: "public.workspace e",
        workspace: "e.id",
        columns: "e.id, e.name, e.slug",
        put: "workspace_put.sql",
        own: "old.id = $2",
        // The cascade would come to the runtimes first, which the agents hold on to.
        purge: ["delete from public.agent where workspace_id = $1"],
        sealed: ["workspace"]
    };
    const VALUES: &'static [Put] =
        &[Put::needed("name", "$4"), Put::needed("slug", "coalesce($5, $6)").replaced_by("coalesce($5, old.slug)")];
    const LABELS: &'static str = "$7";

    fn id(&self) -> Uuid {
        self.id
    }

    fn references(_: &WorkspaceBody) -> Vec<Reference> {
        Vec::new()
    }

    fn may_make(viewer: Option<Uuid>, id: Uuid) -> bool {
        viewer.is_none_or(|own| own == id)
    }

    fn leaves_out(body: &WorkspaceBody, column: &str) -> bool {
        column == "slug" && body.slug.is_none()
    }

    fn bind(query: PutQuery<Self>, body: WorkspaceBody) -> PutQuery<Self> {
        let suggested = Slug::of(&body.name, Uuid::new_v4());
        query.bind(body.name).bind(body.slug).bind(suggested).bind(body.labels)
    }
}
