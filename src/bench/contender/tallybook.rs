//! Tallybook itself, driven by the code that the product runs.
use super::Design;
use crate::adopt::{self, Form, Patience};
use crate::bench::Error;
use crate::bench::server::Database;
use crate::rollup::{backfill, fold, verify};
use sqlx::{Executor, PgConnection};

/// What a command of ours connects with.
const CONNECTIONS: u32 = 4;

pub(super) fn design(name: &'static str) -> Design {
    Design {
        name,
        install: None,
        fill: None,
        tick: Some("select tallybook.rollup_task_usage_daily()"),
        read: include_str!("read_rollup.sql").replace("{rollup}", "tallybook.task_usage_daily_now"),
        shown: include_str!("shown_rollup.sql").replace("{rollup}", "tallybook.task_usage_daily_now"),
    }
}

/// Takes over tables that are there, as a host's are: usage is captured by row.
pub(super) async fn adopt(database: &Database) -> Result<(), Error> {
    database.run("drop schema tallybook cascade").await?;
    let pool = database.pool(CONNECTIONS);
    let adopted = adopt::install(&pool, Some(Form::Row), Patience::default(), drop).await;
    pool.close().await;
    Ok(adopted.map(drop)?)
}

/// Covers all history that is not covered.
pub(in crate::bench) async fn cover(database: &Database) -> Result<(), Error> {
    let pool = database.pool(CONNECTIONS);
    let covered = backfill::run(&pool, backfill::SLICE_ROWS, |_| {}).await;
    pool.close().await;
    Ok(covered.map(drop)?)
}

/// Folds until nothing is pending.
pub(in crate::bench) async fn drain(database: &Database) -> Result<(), Error> {
    let pool = database.pool(CONNECTIONS);
    let drained = fold::drain(&pool).await;
    pool.close().await;
    Ok(drained.map(drop)?)
}

/// In how many keys any now-view differs from raw.
pub(super) async fn drifted(database: &Database) -> Result<i64, Error> {
    let pool = database.pool(CONNECTIONS);
    let report = verify::verify(&pool).await;
    pool.close().await;
    Ok(report?.rollups.iter().map(|rollup| rollup.drifted_keys).sum())
}

/// Keeps everybody from folding for as long as the session is open: what is pending stays so.
pub(in crate::bench) async fn hold_folds(database: &Database) -> Result<PgConnection, Error> {
    let mut conn = database.connect().await?;
    conn.execute("select pg_advisory_lock(tallybook.fold_lock_key())").await?;
    Ok(conn)
}
