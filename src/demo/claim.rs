//! Whose database it is: the demo only works on one that is empty or that an earlier demo made.
//!
//! The mark is a workspace with an id and a slug of our own. Looked at twice: before anything is changed, and
//! again when the schema is in place and the mark is about to be made.
use super::Error;
use crate::config::Place;
use crate::db::pool::PgPool;
use crate::entity::store::{self, Stored};
use crate::entity::{Name, Slug, Workspace, WorkspaceBody};
use crate::model::labels::Labels;
use jiff::Timestamp;
use uuid::Uuid;

/// The workspace that marks a database as the demo's, and that the fleet works in.
pub const WORKSPACE: Uuid = Uuid::from_u128(0x7a11_b00c_de30_4f1e_8000_7a11_b00c_0001);
/// Its slug.
pub const SLUG: &str = "tallybook-demo";
/// Its name.
const NAME: &str = "Tallybook demo";

/// Other data where the demo was to work.
#[derive(Debug, thiserror::Error)]
#[error(
    "{place} holds other data than the demo's: {found}; the demo works only on a database of its own: leave out DATABASE_URL and --data-dir, or name an empty database"
)]
pub struct Refusal {
    place: String,
    found: String,
}

/// What is in a database that is not the demo's.
#[derive(sqlx::FromRow)]
struct Others {
    /// How many.
    total: i64,
    /// One of them.
    example: Option<String>,
}

impl Others {
    fn found(&self, one: &str) -> Option<String> {
        let example = self.example.as_deref()?;
        let rest = match self.total {
            1 => String::new(),
            2 => " and 1 more".to_owned(),
            total => format!(" and {} more", total - 1),
        };
        Some(format!("{one} {example}{rest}"))
    }
}

/// Refuses a database that holds anything that no demo made. Changes nothing.
pub(super) async fn check(pool: &PgPool, place: &Place) -> Result<(), Error> {
    let refuse = |found| Err(Refusal { place: place.to_string(), found }.into());
    let tables: Others = sqlx::query_as(include_str!("claim_tables.sql")).fetch_one(pool).await?;
    if let Some(found) = tables.found("table") {
        return refuse(found);
    }
    let has_workspaces: bool = sqlx::query_scalar("select to_regclass('public.workspace') is not null").fetch_one(pool).await?;
    if !has_workspaces {
        return Ok(());
    }
    let workspaces: Others =
        sqlx::query_as(include_str!("claim_workspaces.sql")).bind(WORKSPACE).bind(SLUG).fetch_one(pool).await?;
    workspaces.found("workspace").map_or(Ok(()), refuse)
}

/// Makes the mark, in a database that [`check`] still has nothing against.
pub(super) async fn mark(pool: &PgPool, place: &Place, now: Timestamp) -> Result<(), Error> {
    check(pool, place).await?;
    let body = WorkspaceBody {
        name: Name::try_from(NAME.to_owned()).expect("a constant that is a name"),
        slug: Some(Slug::try_from(SLUG.to_owned()).expect("a constant that is a slug")),
        labels: Labels::default(),
    };
    match store::put::<Workspace>(pool, None, WORKSPACE, body, now).await {
        Ok(Some(Stored { .. })) => Ok(()),
        // Nobody is bound to another workspace here.
        Ok(None) => Err(sqlx::Error::RowNotFound.into()),
        Err(store::Error::Database(error)) => Err(error.into()),
        // Somebody has come between.
        Err(other) => Err(Refusal { place: place.to_string(), found: other.to_string() }.into()),
    }
}
