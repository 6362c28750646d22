//! Stores counters, and tells exactly what became of each.
use super::report::{Identity, Outcome};
use super::statements::Statements;
use super::transaction::{Failure, Item};
use crate::db::session::Session;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::Row;
use uuid::Uuid;

/// Stores the reports of `items`, no two of one identity, but for those of sealed usage, and says what became of each, in their order.
pub(super) async fn put(
    connection: &mut Session<'_>,
    statements: &Statements,
    items: &[Item<'_>],
    default_time: Timestamp,
) -> Result<Vec<Outcome>, Failure> {
    let mut order: Vec<usize> = (0..items.len()).filter(|place| !items[*place].is_sealed).collect();
    order.sort_unstable_by(|a, b| items[*a].report.by_identity(items[*b].report));
    let mut outcomes: Vec<_> = items.iter().map(|item| item.is_sealed.then_some(Outcome::Sealed)).collect();
    if !order.is_empty() {
        write(connection, statements, items, &order, default_time, &mut outcomes).await?;
    }
    order.retain(|place| outcomes[*place].is_none());
    if !order.is_empty() {
        compare(connection, statements, items, &order, &mut outcomes).await?;
    }
    // A row that was neither written nor kept: a trigger of the host's has vetoed it.
    outcomes.into_iter().collect::<Option<Vec<_>>>().ok_or(Failure::Database(sqlx::Error::RowNotFound))
}

/// Writes what is new or different.
async fn write(
    connection: &mut Session<'_>,
    statements: &Statements,
    items: &[Item<'_>],
    order: &[usize],
    default_time: Timestamp,
    outcomes: &mut [Option<Outcome>],
) -> Result<(), sqlx::Error> {
    let reports = || order.iter().map(|place| items[*place].report);
    let rows = sqlx::query(statements.put().ok_or(sqlx::Error::RowNotFound)?)
        .bind(reports().map(|r| r.task_id).collect::<Vec<_>>())
        .bind(reports().map(|r| statements.provider(r)).collect::<Vec<_>>())
        .bind(reports().map(|r| r.model.as_str()).collect::<Vec<_>>())
        .bind(reports().map(|r| r.event_key.as_str()).collect::<Vec<_>>())
        .bind(reports().map(|r| r.sequence).collect::<Vec<_>>())
        .bind(reports().map(|r| r.counts.input.get()).collect::<Vec<_>>())
        .bind(reports().map(|r| r.counts.output.get()).collect::<Vec<_>>())
        .bind(reports().map(|r| r.counts.cache_read.get()).collect::<Vec<_>>())
        .bind(reports().map(|r| r.counts.cache_write.get()).collect::<Vec<_>>())
        .bind(reports().map(|r| r.counts.cache_write_1h.get()).collect::<Vec<_>>())
        .bind(reports().map(|r| r.cost.map(crate::model::Ticks::get)).collect::<Vec<_>>())
        .bind(reports().map(|r| r.occurred_at.map(|at| at.get().to_sqlx())).collect::<Vec<_>>())
        .bind(default_time.to_sqlx())
        .fetch_all(connection)
        .await?;
    for row in rows {
        let identity: Identity<'_> = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
        let found = order.binary_search_by(|place| items[*place].report.identity().cmp(&identity));
        let place = found.map_err(|_| sqlx::Error::RowNotFound)?;
        outcomes[order[place]] = Some(if row.try_get(4)? { Outcome::Created } else { Outcome::Replaced });
    }
    Ok(())
}

/// Tells stale from unchanged.
async fn compare(
    connection: &mut Session<'_>,
    statements: &Statements,
    items: &[Item<'_>],
    order: &[usize],
    outcomes: &mut [Option<Outcome>],
) -> Result<(), sqlx::Error> {
    let reports = || order.iter().map(|place| items[*place].report);
    let rows: Vec<(i64, bool)> = sqlx::query_as(statements.kept().ok_or(sqlx::Error::RowNotFound)?)
        .bind(reports().map(|r| r.task_id).collect::<Vec<Uuid>>())
        .bind(reports().map(|r| statements.provider(r)).collect::<Vec<_>>())
        .bind(reports().map(|r| r.model.as_str()).collect::<Vec<_>>())
        .bind(reports().map(|r| r.event_key.as_str()).collect::<Vec<_>>())
        .bind(reports().map(|r| r.sequence).collect::<Vec<_>>())
        .fetch_all(connection)
        .await?;
    for (ordinal, is_stale) in rows {
        let place = usize::try_from(ordinal - 1).map_err(|_| sqlx::Error::RowNotFound)?;
        outcomes[order[place]] = Some(if is_stale { Outcome::Stale } else { Outcome::Unchanged });
    }
    Ok(())
}
