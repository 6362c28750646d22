//! Adopting: the migrations, then the indexes that are missing, then the triggers, each table in a short transaction.
//!
//! It may be killed at any moment and run again: what is there already is left alone. Reads of the now-views are exact from the moment that
//! they exist: all days are read from raw until backfill covers them, and it cannot begin before every trigger is there.
use super::patience::Patience;
use super::preflight::{self, Report, Standing};
use super::{Error, SOURCES, index, lone_session};
use crate::db::migrate;
use crate::db::pool::PgPool;
use sqlx::{Connection, Executor, PgConnection};

/// How changes of usage are captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// By statement: cheaper for batches.
    Statement,
    /// By row: cheaper for single rows, and where partitions or logical replication are written.
    Row,
}

impl Form {
    fn name(self) -> &'static str {
        match self {
            Self::Statement => "statement",
            Self::Row => "row",
        }
    }
}

/// Adopts the database, or goes on where an earlier attempt ended. `form` is that of usage; none: as the table's kind demands.
pub async fn install(
    pool: &PgPool,
    form: Option<Form>,
    patience: Patience,
    mut tell: impl FnMut(String),
) -> Result<Report, Error> {
    let mut session = lone_session(pool).await?;
    let report = preflight::check_on(&mut session).await?;
    if !report.can_be_adopted {
        return Err(Error::Refused(Box::new(report)));
    }
    for migration in migrate::up_adopting(pool).await? {
        tell(format!("applied {:04} {}", migration.version, migration.description));
    }
    index::build(&mut session, patience, &mut tell).await?;
    choose_form(&mut session, form, &report, patience, &mut tell).await?;
    capture(&mut session, patience, &mut tell).await?;
    // The files as they are now: one that is rewritten later is told from them.
    session.execute("select tallybook.notice_rewrites()").await?;
    let report = preflight::check_on(&mut session).await?;
    session.close().await?;
    Ok(report)
}

/// Settles how usage is captured: before its triggers are there or, where it was said, by putting others in their place.
async fn choose_form(
    on: &mut PgConnection,
    form: Option<Form>,
    found: &Report,
    patience: Patience,
    tell: &mut impl FnMut(String),
) -> Result<(), Error> {
    let is_captured =
        "select exists (select from pg_trigger where tgrelid = 'public.task_usage'::regclass and tgname = 'tallybook_insert')";
    let is_captured: bool = sqlx::query_scalar(is_captured).fetch_one(&mut *on).await?;
    let demanded = || found.tables.iter().find(|table| table.name == "public.task_usage").map(|table| table.captured_by.clone());
    let form = match form {
        Some(form) => Some(form.name().to_owned()),
        None if found.standing == Standing::Adopted || is_captured => None,
        None => demanded(),
    };
    let Some(form) = form else { return Ok(()) };
    let is_other = "select usage_captured_by <> $1 from tallybook.installation";
    if !sqlx::query_scalar(is_other).bind(&form).fetch_one(&mut *on).await? {
        return Ok(());
    }
    if is_captured {
        patience.run(on, "public.task_usage", &format!("select tallybook.capture_usage_by('{form}')"), tell).await?;
        tell(format!("captures the changes of public.task_usage by {form}"));
        return Ok(());
    }
    sqlx::query("update tallybook.installation set usage_captured_by = $1").bind(&form).execute(on).await?;
    Ok(())
}

/// Puts the triggers on each table that lacks some.
async fn capture(on: &mut PgConnection, patience: Patience, tell: &mut impl FnMut(String)) -> Result<(), Error> {
    for source in SOURCES {
        let table = format!("public.{source}");
        let lacks = "select tallybook.lacks_capture($1)";
        if sqlx::query_scalar(lacks).bind(source).fetch_one(&mut *on).await? {
            patience.run(on, &table, &format!("select tallybook.install_capture('{source}')"), tell).await?;
            tell(format!("captures the changes of {table}"));
        }
    }
    Ok(())
}
