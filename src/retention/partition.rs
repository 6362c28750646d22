//! Partitions of raw usage that hold only what is old, and of which everything is sealed, leave the table.
//!
//! They are looked at and detached under one lock, for milliseconds, which is given up rather than waited for: whoever wrote a late report is not
//! overlooked, and nobody queues behind it. The partition stays, empty, for its owner to drop.
use super::run::{note, patiently};
use crate::audit::{Action, Actor};
use crate::db::error::{Cause, cause};
use crate::db::pool::PgPool;
use jiff::civil::Date;
use jiff_sqlx::ToSqlx;
use serde_json::json;

/// Detaches what can be, and gives the names. Nothing where the table is not partitioned by the time of usage.
pub(super) async fn detach(pool: &PgPool, by: &Actor, before: Date) -> Result<Vec<String>, sqlx::Error> {
    let old = "select p::oid::bigint, p::text from tallybook.old_partitions($1::date::timestamp at time zone 'UTC') p";
    let partitions: Vec<(i64, String)> = sqlx::query_as(old).bind(before.to_sqlx()).fetch_all(pool).await?;
    let mut detached = Vec::new();
    for (oid, name) in partitions {
        match patiently(|| detach_one(pool, by, oid, &name)).await {
            Ok(true) => detached.push(name),
            Ok(false) => {}
            Err(error) if cause(&error) == Cause::Conflict => {
                tracing::warn!(%error, partition = name, "a partition that is to be detached is in use; the next run tries again");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(detached)
}

async fn detach_one(pool: &PgPool, by: &Actor, oid: i64, name: &str) -> Result<bool, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let is_detached: bool =
        sqlx::query_scalar("select tallybook.detach_partition($1::oid::regclass)").bind(oid).fetch_one(&mut *transaction).await?;
    if is_detached {
        note(&mut transaction, by, Action::Detach, name.to_owned(), json!({})).await?;
    }
    transaction.commit().await?;
    Ok(is_detached)
}
