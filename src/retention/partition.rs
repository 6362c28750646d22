//! Partitions of raw usage that hold only what is old, and of which everything is sealed, leave the table.
//!
//! They are looked at and detached under one lock, which is given up rather than waited for: whoever wrote a late report is not overlooked, and nobody
//! queues behind it. Whether anything is left is looked up beforehand, and what was deleted is vacuumed away: under the lock that takes no time, or is
//! given up. The partition stays, empty, for its owner to drop.
use super::run::{note, patiently};
use crate::audit::{Action, Actor};
use crate::db::error::{Cause, cause};
use crate::db::pool::PgPool;
use jiff::civil::Date;
use jiff_sqlx::ToSqlx;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

/// How long the table may be locked at most, in milliseconds: whoever writes waits for it.
const LOCKED_MAX: u32 = 300;

/// Detaches what can be, and gives the names. Nothing where the table is not partitioned by the time of usage.
pub(super) async fn detach(pool: &PgPool, by: &Actor, before: Date) -> Result<Vec<String>, sqlx::Error> {
    let old = "select p::oid::bigint, p::text from tallybook.old_partitions($1::date::timestamp at time zone 'UTC') p";
    let partitions: Vec<(i64, String)> = sqlx::query_as(old).bind(before.to_sqlx()).fetch_all(pool).await?;
    let mut detached = Vec::new();
    for (oid, name) in partitions {
        match leave(pool, by, oid, &name).await {
            Ok(true) => detached.push(name),
            Ok(false) => {}
            Err(error) if [Cause::Conflict, Cause::Timeout].contains(&cause(&error)) => {
                tracing::warn!(%error, partition = name, "a partition that is to be detached is in use; the next run tries again");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(detached)
}

/// Detaches the partition unless it has any row. `name` is SQL.
async fn leave(pool: &PgPool, by: &Actor, oid: i64, name: &str) -> Result<bool, sqlx::Error> {
    let is_left_over = AssertSqlSafe(format!("select exists (select from {name})"));
    if sqlx::query_scalar(is_left_over).fetch_one(pool).await? {
        return Ok(false);
    }
    // Through a pooler there is no vacuum. Nor does it do anything for a role that may not.
    if let Ok(options) = pool.session_options().await? {
        let mut session = PgConnection::connect_with(&options).await?;
        session.execute("set lock_timeout = '5s'").await?;
        session.execute(AssertSqlSafe(format!("vacuum {name}"))).await?;
        session.close().await?;
    }
    patiently(|| detach_one(pool, by, oid, name)).await
}

async fn detach_one(pool: &PgPool, by: &Actor, oid: i64, name: &str) -> Result<bool, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    transaction.execute(AssertSqlSafe(format!("set local statement_timeout = {LOCKED_MAX}"))).await?;
    let is_detached: bool =
        sqlx::query_scalar("select tallybook.detach_partition($1::oid::regclass)").bind(oid).fetch_one(&mut *transaction).await?;
    if is_detached {
        note(&mut transaction, by, Action::Detach, name.to_owned(), json!({})).await?;
    }
    transaction.commit().await?;
    Ok(is_detached)
}
