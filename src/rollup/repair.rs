//! Repair: rebuilds the days on which a now-view differs from raw, in the rollups that differ there, and no others.
//!
//! Each day of each rollup is one transaction: repair can be stopped at any point and is finished by running it again. It rebuilds
//! nothing while capture is not intact: what it rebuilt would drift again.
use super::drift;
use super::verify::{self, DayRange, DriftedDay, Scope};
use crate::audit::{self, Action, Actor, Event};
use crate::db::pool::PgPool;
use jiff::civil::Date;
use serde_json::json;

/// What was found, done, and left.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Report {
    /// The UTC days on which anything was rebuilt, in order.
    pub days: Vec<Date>,
    /// Rollup rows written.
    pub rows_written: i64,
    /// What was rebuilt, newest day first.
    pub rebuilt: Vec<Rebuilt>,
    /// The comparison before.
    pub before: verify::Report,
    /// The comparison after, of the days that were rebuilt; that before where there were none.
    pub after: verify::Report,
}

/// A day of a rollup that was rebuilt.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Rebuilt {
    /// The rollup.
    pub rollup: String,
    /// The UTC day.
    pub day: Date,
    /// Keys that differed.
    pub keys: i64,
    /// Rollup rows written.
    pub rows_written: i64,
}

/// Why nothing, or not everything, was rebuilt.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Changes are not captured: what is rebuilt drifts again.
    #[error("capture is not intact: {}; `tallybook doctor` tells how to mend it, then repair again", .0.join("; "))]
    Capture(Vec<String>),
    /// The database refused or went away.
    #[error("cannot repair: {0}")]
    Database(#[from] sqlx::Error),
}

/// Verifies all history, rebuilds what differs, and compares that again, in the name of the service.
pub async fn repair(pool: &PgPool) -> Result<Report, Error> {
    require_capture(pool).await?;
    let plan = verify::plan(pool, &Scope::default()).await?;
    let before = verify::check(pool, &plan, |_| {}).await?;
    rebuild(pool, &Actor::service(), before, |_| {}).await
}

/// Fails where changes are not captured.
pub async fn require_capture(pool: &PgPool) -> Result<(), Error> {
    let faults: Vec<String> = sqlx::query_scalar("select tallybook.capture_faults()").fetch_all(pool).await?;
    if faults.is_empty() { Ok(()) } else { Err(Error::Capture(faults)) }
}

/// Rebuilds what differs in the report `before`, compares that again, and tells `on_day` of each day of a rollup.
pub async fn rebuild(
    pool: &PgPool,
    by: &Actor,
    before: verify::Report,
    mut on_day: impl FnMut(&Rebuilt),
) -> Result<Report, Error> {
    let days = before.drifted_days();
    if days.is_empty() {
        return Ok(Report { days, rows_written: 0, rebuilt: Vec::new(), after: before.clone(), before });
    }
    let mut rebuilt = Vec::new();
    for day in days.iter().rev() {
        for rollup in &before.rollups {
            if let Some(drifted) = rollup.drifted_days.iter().find(|drifted| drifted.day == *day) {
                let done = rebuild_day(pool, by, &rollup.name, drifted).await?;
                on_day(&done);
                rebuilt.push(done);
            }
        }
    }
    let plan = verify::plan_days(pool, &days).await?;
    let after = verify::check(pool, &plan, |_| {}).await?;
    // The service's verification need not come there to know.
    for slice in &plan.slices {
        for rollup in &after.rollups {
            drift::record(pool, &rollup.name, *slice, &rollup.drifted_days).await?;
        }
    }
    Ok(Report { days, rows_written: rebuilt.iter().map(|done| done.rows_written).sum(), rebuilt, before, after })
}

/// Rebuilds a day, and notes who did: in this order, since rollups are written in transactions that have written nothing else.
#[tracing::instrument(
    target = "tallybook::trace", level = "trace", name = "transaction", skip_all, err(level = "trace"),
    fields(otel.name = "rebuild day", otel.kind = "client", db.system.name = "postgresql")
)]
async fn rebuild_day(pool: &PgPool, by: &Actor, rollup: &str, drifted: &DriftedDay) -> Result<Rebuilt, sqlx::Error> {
    let DriftedDay { day, keys } = *drifted;
    let range = DayRange::day(day);
    let mut transaction = pool.begin().await?;
    let rows_written = sqlx::query_scalar(include_str!("rebuild_day.sql"))
        .bind(rollup)
        .bind(range.since_sql())
        .bind(range.until_sql())
        .fetch_one(&mut *transaction)
        .await?;
    let done = Rebuilt { rollup: rollup.to_owned(), day, keys, rows_written };
    let details = json!({ "day": day, "keys": keys, "rows_written": rows_written });
    let event = Event { action: Action::Repair, workspace: None, target: rollup.to_owned(), details };
    audit::record(&mut transaction, by, &event).await?;
    transaction.commit().await?;
    Ok(done)
}
