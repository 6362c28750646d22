//! Carries a plan out, day by day.
use super::reference::{self, Reference};
use super::{Plan, partition};
use crate::audit::{self, Action, Actor};
use crate::db::error::{Cause, cause};
use crate::db::pool::PgPool;
use crate::db::session::Session;
use crate::rollup::verify::{self, DayRange};
use crate::rollup::{drift, fold, repair};
use jiff::civil::Date;
use serde_json::{Value, json};
use std::time::Duration;

/// Raw rows that one transaction seals at most, unless told otherwise: short enough that a writer who meets it hardly waits.
pub const BATCH_ROWS: i64 = 2_000;
/// How often a transaction is tried that lost against another one.
const ATTEMPTS_MAX: u32 = 8;
/// The wait before it is tried again; doubled each time.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// The SQLSTATE of what a foreign key does not let go.
const FOREIGN_KEY_VIOLATION: &str = "23503";

/// How gently to go, and how far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Raw rows that one transaction seals at most.
    pub batch_rows: i64,
    /// Pause after each transaction.
    pub pause: Duration,
    /// Whether foreign keys that refer to raw usage may delete or change their tables' rows.
    pub follow_foreign_keys: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { batch_rows: BATCH_ROWS, pause: Duration::ZERO, follow_foreign_keys: false }
    }
}

/// What happens during a run.
#[derive(Clone, Copy, Debug)]
pub enum Event {
    /// So many raw rows were sealed.
    Sealed(i64),
    /// A day was left, or is done.
    DayDone,
}

/// What a run did.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// The days of which anything was sealed, oldest first.
    pub sealed: Vec<SealedDay>,
    /// The days that were thinned, oldest first.
    pub thinned: Vec<ThinnedDay>,
    /// The partitions that were detached: they were old, and all of their usage is sealed.
    pub detached: Vec<String>,
    /// The days that were left alone, because a rollup differs there.
    pub differing: Vec<Differing>,
}

/// A day of raw usage that was sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct SealedDay {
    /// The UTC day.
    pub day: Date,
    /// Raw rows that were sealed.
    pub rows: i64,
    /// Raw rows that are left: somebody else had them, or their task is missing.
    pub rows_left: i64,
}

/// A day whose quarter hours became one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ThinnedDay {
    /// The UTC day.
    pub day: Date,
    /// Rows of sealed usage before.
    pub rows_before: i64,
    /// Rows of sealed usage now.
    pub rows_after: i64,
}

/// A day on which a rollup differs from the truth.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Differing {
    /// The UTC day.
    pub day: Date,
    /// The rollups.
    pub rollups: Vec<String>,
}

impl Report {
    /// Raw rows that were sealed.
    pub fn rows_sealed(&self) -> i64 {
        self.sealed.iter().map(|day| day.rows).sum()
    }

    /// Raw rows of the days that were sealed, and are still there.
    pub fn rows_left(&self) -> i64 {
        self.sealed.iter().map(|day| day.rows_left).sum()
    }
}

/// Why a run ended early. What it had done until then is done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Changes are not captured.
    #[error(transparent)]
    Capture(#[from] repair::Error),
    /// A rollup did not cover all of the plan.
    #[error("the rollup {rollup} does not cover all days that are to go; run `tallybook backfill` first")]
    Uncovered {
        /// The rollup.
        rollup: String,
    },
    /// Others refer to usage that is to go.
    #[error("nothing was sealed, for raw usage is referred to, by {}", told(.0))]
    Referred(Vec<Reference>),
    /// Others refer to usage since it was looked for, or to what would go with it, and their key does not let it go.
    #[error(
        "a foreign key kept usage from being sealed, and what had been sealed before it stays so: {0}; the same with --dry-run tells what refers to usage"
    )]
    KeptByKey(sqlx::Error),
    /// A day was exact before and is not after. Nothing is lost: raw and sealed usage hold all of it.
    #[error(
        "{day} differs in {} since its usage was sealed, and nothing more was; `tallybook doctor` looks for the cause, `tallybook repair` rebuilds the day", .rollups.join(" and ")
    )]
    Differs {
        /// The UTC day.
        day: Date,
        /// The rollups.
        rollups: Vec<String>,
    },
    /// The database refused or went away.
    #[error("cannot seal usage: {0}")]
    Database(sqlx::Error),
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
        if code.is_some_and(|code| code == FOREIGN_KEY_VIOLATION) { Self::KeptByKey(error) } else { Self::Database(error) }
    }
}

fn told(references: &[Reference]) -> String {
    references.iter().map(ToString::to_string).collect::<Vec<_>>().join("; by ")
}

/// Carries `plan` out, and tells `on_event` how far it is.
pub async fn run(
    pool: &PgPool,
    by: &Actor,
    plan: &Plan,
    options: Options,
    mut on_event: impl FnMut(Event),
) -> Result<Report, Error> {
    reference::require_none_in_the_way(&plan.references, options.follow_foreign_keys)?;
    repair::require_capture(pool).await?;
    require_coverage(pool, plan).await?;
    let mut report = Report::default();
    for planned in &plan.seal {
        if is_exact(pool, planned.day, &mut report).await? {
            let done = seal(pool, by, planned.day, options, &mut on_event).await?;
            report.sealed.extend((done.rows > 0 || done.rows_left > 0).then_some(done));
            expect_exact(pool, planned.day).await?;
        }
        on_event(Event::DayDone);
    }
    if let Some(before) = plan.seal_before {
        report.detached = partition::detach(pool, by, before).await?;
    }
    for planned in &plan.thin {
        let is_known = report.differing.iter().any(|differing| differing.day == planned.day);
        if !is_known && is_exact(pool, planned.day, &mut report).await? {
            let done = thin(pool, by, planned.day).await?;
            report.thinned.extend((done.rows_before > 0).then_some(done));
            expect_exact(pool, planned.day).await?;
            tokio::time::sleep(options.pause).await;
        }
        on_event(Event::DayDone);
    }
    Ok(report)
}

/// Fails where a rollup lacks a day of the plan: `tallybook.seal` would, on that day.
async fn require_coverage(pool: &PgPool, plan: &Plan) -> Result<(), Error> {
    let Some(first) = plan.seal.iter().chain(&plan.thin).map(|planned| planned.day).min() else { return Ok(()) };
    let uncovered = "select name from tallybook.rollup where covered_from > coalesce($1::date::timestamp at time zone 'UTC', '-infinity') order by name limit 1";
    match sqlx::query_scalar(uncovered).bind(DayRange::day(first).since_sql()).fetch_optional(pool).await? {
        Some(rollup) => Err(Error::Uncovered { rollup }),
        None => Ok(()),
    }
}

/// Compares every rollup on a day, and notes what was found where a service's verification looks, too. A day that differs goes into `report`.
async fn is_exact(pool: &PgPool, day: Date, report: &mut Report) -> Result<bool, sqlx::Error> {
    let rollups = differing(pool, day).await?;
    if rollups.is_empty() {
        return Ok(true);
    }
    report.differing.push(Differing { day, rollups });
    Ok(false)
}

async fn expect_exact(pool: &PgPool, day: Date) -> Result<(), Error> {
    let rollups = differing(pool, day).await?;
    if rollups.is_empty() { Ok(()) } else { Err(Error::Differs { day, rollups }) }
}

async fn differing(pool: &PgPool, day: Date) -> Result<Vec<String>, sqlx::Error> {
    let range = DayRange::day(day);
    let mut differing = Vec::new();
    for rollup in verify::compare(pool, range).await? {
        drift::record(pool, &rollup.name, range, &rollup.drifted_days).await?;
        if rollup.drifted_keys > 0 {
            differing.push(rollup.name);
        }
    }
    Ok(differing)
}

/// Seals a day in transactions of at most `batch_rows`, with a fold after each, so that what is pending stays small.
async fn seal(
    pool: &PgPool,
    by: &Actor,
    day: Date,
    options: Options,
    on_event: &mut impl FnMut(Event),
) -> Result<SealedDay, sqlx::Error> {
    let mut done = SealedDay { day, rows: 0, rows_left: 0 };
    let mut after: Option<String> = None;
    loop {
        let (rows, go_on_after) = patiently(|| seal_batch(pool, by, day, after.as_deref(), options.batch_rows)).await?;
        done.rows += rows;
        on_event(Event::Sealed(rows));
        fold::tick(pool).await?;
        tokio::time::sleep(options.pause).await;
        after = go_on_after;
        if after.is_none() {
            break;
        }
    }
    let range = DayRange::day(day);
    done.rows_left =
        sqlx::query_scalar(include_str!("rows_left.sql")).bind(range.since_sql()).bind(range.until_sql()).fetch_one(pool).await?;
    Ok(done)
}

/// One transaction. Gives the rows that it sealed, and where the next one goes on, in the database's own words: times may be infinite there.
async fn seal_batch(
    pool: &PgPool,
    by: &Actor,
    day: Date,
    after: Option<&str>,
    rows_max: i64,
) -> Result<(i64, Option<String>), sqlx::Error> {
    let range = DayRange::day(day);
    let mut transaction = pool.begin().await?;
    let sealed: (i64, Option<String>) = sqlx::query_as(include_str!("seal_batch.sql"))
        .bind(range.since_sql())
        .bind(range.until_sql())
        .bind(after)
        .bind(rows_max)
        .fetch_one(&mut *transaction)
        .await?;
    if sealed.0 > 0 {
        note(&mut transaction, by, Action::Seal, day.to_string(), json!({ "rows": sealed.0 })).await?;
    }
    transaction.commit().await?;
    Ok(sealed)
}

/// Notes who does it, once it is done: what seals must not have written anything before.
pub(super) async fn note(
    transaction: &mut Session<'_>,
    by: &Actor,
    action: Action,
    target: String,
    details: Value,
) -> Result<(), sqlx::Error> {
    audit::record(transaction, by, &audit::Event { action, workspace: None, target, details }).await
}

async fn thin(pool: &PgPool, by: &Actor, day: Date) -> Result<ThinnedDay, sqlx::Error> {
    let (rows_before, rows_after) = patiently(|| thin_day(pool, by, day)).await?;
    fold::tick(pool).await?;
    Ok(ThinnedDay { day, rows_before, rows_after })
}

/// One transaction. Gives the rows that it removed, and those that it wrote in their place.
async fn thin_day(pool: &PgPool, by: &Actor, day: Date) -> Result<(i64, i64), sqlx::Error> {
    let range = DayRange::day(day);
    let mut transaction = pool.begin().await?;
    let (before, after): (i64, i64) = sqlx::query_as(include_str!("thin_day.sql"))
        .bind(range.since_sql())
        .bind(range.until_sql())
        .fetch_one(&mut *transaction)
        .await?;
    if before > 0 {
        note(&mut transaction, by, Action::Thin, day.to_string(), json!({ "rows_before": before, "rows_after": after })).await?;
    }
    transaction.commit().await?;
    Ok((before, after))
}

/// Does the work again where it lost against somebody else's, with ever longer pauses.
pub(super) async fn patiently<T, F: Future<Output = Result<T, sqlx::Error>>>(work: impl Fn() -> F) -> Result<T, sqlx::Error> {
    let mut pause = RETRY_PAUSE;
    for _ in 1..ATTEMPTS_MAX {
        match work().await {
            Err(error) if cause(&error) == Cause::Conflict => tracing::debug!(%error, "trying again"),
            done => return done,
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
    work().await
}
