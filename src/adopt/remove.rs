//! Leaving: the migrations that read or show anything first, so that nothing inexact is ever shown, then triggers and indexes, then the rest.
use super::patience::Patience;
use super::{Error, index, lone_session};
use crate::db::migrate::{self, CAPTURE};
use crate::db::pool::PgPool;
use sqlx::{Connection, PgConnection};

/// Takes Tallybook off the host's tables, and reverts every migration above `target`, which comes before capture. Their schema is then as it
/// was. It may be killed at any moment and run again.
pub async fn remove(pool: &PgPool, target: i64, patience: Patience, mut tell: impl FnMut(String)) -> Result<(), Error> {
    let mut session = lone_session(pool).await?;
    migrate::down(pool, target.max(CAPTURE)).await?;
    release(&mut session, patience, &mut tell).await?;
    index::drop_all(&mut session, patience, &mut tell).await?;
    migrate::down(pool, target).await?;
    session.close().await?;
    Ok(())
}

/// Drops every trigger of ours.
async fn release(on: &mut PgConnection, patience: Patience, tell: &mut impl FnMut(String)) -> Result<(), Error> {
    let tables: Vec<(String, String)> = sqlx::query_as(include_str!("release.sql")).fetch_all(&mut *on).await?;
    for (table, sql) in tables {
        patience.run(on, &table, &sql, tell).await?;
        tell(format!("took the triggers off {table}"));
    }
    Ok(())
}
