//! The same five things with every kind of entity: read one, read many, put, archive, purge.
use super::{Entity, Reference};
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgConnection, PgExecutor, PgPool, Row};
use uuid::Uuid;

/// Why an entity could not be changed as asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The body names something that is not there, or not for this caller: the two look alike.
    #[error("{}: there is no {} {} that this token may see", .0.field, .0.kind, .0.id)]
    NoSuchReference(Reference),
    /// Something that the body names was removed at that very moment.
    #[error("something that the body refers to was removed meanwhile")]
    ReferenceGone,
    /// Another workspace has the slug.
    #[error("another workspace has this slug; give another `slug`")]
    SlugTaken,
    /// Agents still name the runtime.
    #[error(
        "agents still name this runtime, or one of this workspace: give them another `runtime_id`, purge them, or archive instead"
    )]
    RuntimeInUse,
    /// The database refused or went away.
    #[error(transparent)]
    Database(sqlx::Error),
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        let constraint = error.as_database_error().and_then(|e| e.constraint().map(|name| (e.kind(), name.to_owned())));
        match constraint {
            Some((_, name)) if name == "workspace_slug_key" => Self::SlugTaken,
            Some((sqlx::error::ErrorKind::ForeignKeyViolation, name)) if name == "agent_runtime_id_fkey" => Self::RuntimeInUse,
            Some((sqlx::error::ErrorKind::ForeignKeyViolation, _)) => Self::ReferenceGone,
            _ => Self::Database(error),
        }
    }
}

/// An entity as it is stored now, and whether it is new.
#[derive(Debug)]
pub struct Stored<E> {
    /// The entity.
    pub entity: E,
    /// Whether there was none before.
    pub created: bool,
}

impl<E: Entity> FromRow<'_, PgRow> for Stored<E> {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self { entity: E::from_row(row)?, created: row.try_get("created")? })
    }
}

/// One by its id; `None` when there is none within `viewer`.
pub async fn get<E: Entity>(on: impl PgExecutor<'_>, viewer: Option<Uuid>, id: Uuid) -> Result<Option<E>, sqlx::Error> {
    sqlx::query_as(E::SQL.get).bind(id).bind(viewer).fetch_optional(on).await
}

/// Which ones to list.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// Only those of this workspace.
    pub workspace: Option<Uuid>,
    /// Archived ones too.
    pub include_archived: bool,
    /// Only those after this id.
    pub after: Option<Uuid>,
    /// At most so many.
    pub limit: i64,
}

/// Many, in the order of their ids.
pub async fn list<E: Entity>(on: impl PgExecutor<'_>, page: &Page) -> Result<Vec<E>, sqlx::Error> {
    sqlx::query_as(E::SQL.list)
        .bind(page.workspace)
        .bind(page.include_archived)
        .bind(page.after)
        .bind(page.limit)
        .fetch_all(on)
        .await
}

/// Makes the entity, or replaces all that a body says of it, and takes it out of the archive.
///
/// `None` when the id belongs to something outside `viewer`. READ COMMITTED; locks the entity's row, and by the
/// foreign keys (share) those that it names, in the order of the columns. Any number may run: the last one stays.
pub async fn put<E: Entity>(
    pool: &PgPool,
    viewer: Option<Uuid>,
    id: Uuid,
    body: E::Body,
    now: Timestamp,
) -> Result<Option<Stored<E>>, Error> {
    if !E::may_make(viewer, id) {
        return Ok(None);
    }
    let mut transaction = pool.begin().await?;
    for reference in E::references(&body) {
        check(&mut transaction, viewer, reference).await?;
    }
    let query = sqlx::query_as(E::SQL.put).bind(id).bind(viewer).bind(now.to_sqlx());
    let stored = E::bind(query, body).fetch_optional(&mut *transaction).await.map_err(|error| match Error::from(error) {
        // Here it is the agent whose runtime has just gone.
        Error::RuntimeInUse => Error::ReferenceGone,
        error => error,
    })?;
    transaction.commit().await?;
    Ok(stored)
}

async fn check(on: &mut PgConnection, viewer: Option<Uuid>, reference: Reference) -> Result<(), Error> {
    let workspace: Option<Uuid> = sqlx::query_scalar(reference.workspace_sql).bind(reference.id).fetch_optional(on).await?;
    match workspace {
        Some(workspace) if viewer.is_none_or(|own| own == workspace) => Ok(()),
        _ => Err(Error::NoSuchReference(reference)),
    }
}

/// Hides the entity from lists; its name and its spend stay. `false` when there is none within `viewer`.
pub async fn archive<E: Entity>(pool: &PgPool, viewer: Option<Uuid>, id: Uuid, now: Timestamp) -> Result<bool, Error> {
    let mut transaction = pool.begin().await?;
    if get::<E>(&mut *transaction, viewer, id).await?.is_none() {
        return Ok(false);
    }
    sqlx::query(E::SQL.archive).bind(id).bind(now.to_sqlx()).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(true)
}

/// Removes the entity and, by the foreign keys, its usage; the rollups follow. `false` when there is none within `viewer`.
pub async fn purge<E: Entity>(pool: &PgPool, viewer: Option<Uuid>, id: Uuid) -> Result<bool, Error> {
    let mut transaction = pool.begin().await?;
    if get::<E>(&mut *transaction, viewer, id).await?.is_none() {
        return Ok(false);
    }
    for statement in E::SQL.purge {
        sqlx::query(*statement).bind(id).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(true)
}
