//! The same five things with every kind of entity: read one, read many, put, archive, purge.
use super::{Entity, Reference, adopted};
use crate::audit::{self, Action, Actor, Event};
use crate::db::pool::PgPool;
use crate::db::session::Session;
use crate::db::source::{self, Source, Unfit};
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde_json::json;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgExecutor, Row};
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
    /// The table, which somebody else has made, cannot take it.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// Rows of the source would be left behind.
    #[error("a purge would leave usage behind: {0}; remove it through the application, or archive instead")]
    WouldStay(String),
    /// Rows of other tables refer to it.
    #[error(
        "rows of another table still refer to it or to something that hangs on it: {0}; remove them first, or archive instead"
    )]
    StillReferenced(String),
    /// A constraint, a type or a trigger of the source's owner does not allow it.
    #[error("the database does not allow it: {0}")]
    Refused(String),
    /// The tables are not as they were a moment ago.
    #[error("the tables have just been changed; send it again")]
    Changed,
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
            _ => source::refusal(&error).map_or(Self::Database(error), Self::Refused),
        }
    }
}

/// What `error` of a statement that changes something means; one that finds the tables changed lets them be read again.
pub(super) fn judged(pool: &PgPool, error: sqlx::Error) -> Error {
    if source::is_out_of_date(&error) {
        pool.forget_source();
        // What takes no null will not take it the next time, either.
        return source::refusal(&error).map_or(Error::Changed, Error::Refused);
    }
    Error::from(error)
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

/// One by its id, in a transaction; `None` when there is none within `viewer`.
pub async fn get<E: Entity>(
    on: impl PgExecutor<'_>,
    source: &Source,
    viewer: Option<Uuid>,
    id: Uuid,
) -> Result<Option<E>, sqlx::Error> {
    sqlx::query_as(source.sql(E::SQL.get)).bind(id).bind(viewer).fetch_optional(on).await
}

/// One by its id; `None` when there is none within `viewer`.
pub async fn find<E: Entity>(pool: &PgPool, viewer: Option<Uuid>, id: Uuid) -> Result<Option<E>, sqlx::Error> {
    match get(pool, &*pool.source().await?, viewer, id).await {
        Err(error) if source::is_out_of_date(&error) => pool.forget_source(),
        found => return found,
    }
    get(pool, &*pool.source().await?, viewer, id).await
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
pub async fn list<E: Entity>(pool: &PgPool, page: &Page) -> Result<Vec<E>, sqlx::Error> {
    let list = async |source: &Source| {
        sqlx::query_as(source.sql(E::SQL.list))
            .bind(page.workspace)
            .bind(page.include_archived)
            .bind(page.after)
            .bind(page.limit)
            .fetch_all(pool)
            .await
    };
    match list(&*pool.source().await?).await {
        Err(error) if source::is_out_of_date(&error) => pool.forget_source(),
        found => return found,
    }
    list(&*pool.source().await?).await
}

/// Makes the entity, or replaces all that a body says of it, and takes it out of the archive.
///
/// `None` when the id belongs to something outside `viewer`. READ COMMITTED; locks the entity's row, and by the
/// foreign keys (share) those that it names, in the order of the columns. Any number may run: the last one stays.
#[tracing::instrument(
    target = "tallybook::trace", level = "trace", name = "transaction", skip_all, err(level = "trace"),
    fields(otel.name = "put entity", otel.kind = "client", db.system.name = "postgresql")
)]
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
    let source = pool.source().await?;
    let statement = adopted::put::<E>(&source, &body)?;
    let mut transaction = pool.begin().await?;
    for reference in E::references(&body) {
        check(&mut transaction, viewer, reference).await?;
    }
    let query = sqlx::query_as(statement).bind(id).bind(viewer).bind(now.to_sqlx());
    let stored = E::bind(query, body).fetch_optional(&mut *transaction).await.map_err(|error| match judged(pool, error) {
        // Here it is the agent whose runtime has just gone.
        Error::RuntimeInUse => Error::ReferenceGone,
        error => error,
    })?;
    transaction.commit().await?;
    Ok(stored)
}

async fn check(on: &mut Session<'_>, viewer: Option<Uuid>, reference: Reference) -> Result<(), Error> {
    let workspace: Option<Uuid> = sqlx::query_scalar(reference.workspace_sql).bind(reference.id).fetch_optional(on).await?;
    match workspace {
        Some(workspace) if viewer.is_none_or(|own| own == workspace) => Ok(()),
        _ => Err(Error::NoSuchReference(reference)),
    }
}

/// Hides the entity from lists; its name and its spend stay. `false` when there is none within `viewer`.
#[tracing::instrument(
    target = "tallybook::trace", level = "trace", name = "transaction", skip_all, err(level = "trace"),
    fields(otel.name = "archive entity", otel.kind = "client", db.system.name = "postgresql")
)]
pub async fn archive<E: Entity>(pool: &PgPool, viewer: Option<Uuid>, id: Uuid, now: Timestamp) -> Result<bool, Error> {
    let source = pool.source().await?;
    let mut transaction = pool.begin().await?;
    if get::<E>(&mut *transaction, &source, viewer, id).await.map_err(|error| judged(pool, error))?.is_none() {
        return Ok(false);
    }
    let archived = sqlx::query(adopted::archive::<E>(&source)).bind(id).bind(now.to_sqlx()).execute(&mut *transaction).await;
    archived.map_err(|error| judged(pool, error))?;
    transaction.commit().await?;
    Ok(true)
}

/// Removes the entity and, by the foreign keys, its usage; the rollups follow. `false` when there is none within `viewer`.
/// The audit log keeps that it was done, and nothing of what was removed.
#[tracing::instrument(
    target = "tallybook::trace", level = "trace", name = "transaction", skip_all, err(level = "trace"),
    fields(otel.name = "purge entity", otel.kind = "client", db.system.name = "postgresql")
)]
pub async fn purge<E: Entity>(pool: &PgPool, viewer: Option<Uuid>, by: &Actor, id: Uuid) -> Result<bool, Error> {
    let source = pool.source().await?;
    let mut transaction = pool.begin().await?;
    if get::<E>(&mut *transaction, &source, viewer, id).await.map_err(|error| judged(pool, error))?.is_none() {
        return Ok(false);
    }
    if let Some(why) = source.would_stay(E::TABLE) {
        return Err(Error::WouldStay(why));
    }
    let workspace = sqlx::query_scalar(E::SQL.workspace).bind(id).fetch_optional(&mut *transaction).await?;
    for statement in E::SQL.purge {
        let purged = sqlx::query(*statement).bind(id).execute(&mut *transaction).await;
        purged.map_err(|error| unpurged(pool, &source, error))?;
    }
    if !source.table(E::TABLE).keeps_marks() {
        let unmark = sqlx::query("delete from tallybook.entity_mark where kind = $1 and id = $2");
        unmark.bind(E::ONE).bind(id).execute(&mut *transaction).await?;
    }
    let event = Event { action: Action::Purge, workspace, target: format!("{} {id}", E::ONE), details: json!({}) };
    audit::record(&mut transaction, by, &event).await?;
    transaction.commit().await?;
    Ok(true)
}

/// Why something could not be removed: in a database that somebody else has made, other tables may hold on to it.
fn unpurged(pool: &PgPool, source: &Source, error: sqlx::Error) -> Error {
    let table = error.as_database_error().and_then(|refused| refused.table().map(str::to_owned));
    match judged(pool, error) {
        Error::ReferenceGone | Error::RuntimeInUse if !source.is_ours() => {
            Error::StillReferenced(table.unwrap_or_else(|| "another table".to_owned()))
        }
        error => error,
    }
}
