//! Whether a database can be adopted: everything that stands in the way at once, and what adopting it takes. Changes nothing.
use super::index::{self, Index};
use super::{Error, session};
use crate::db::pool::PgPool;
use sqlx::{Connection, PgConnection};

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Severity {
    /// It stands in the way.
    Obstacle,
    /// It is good to know.
    Note,
}

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, sqlx::FromRow)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// A stable name of this kind of finding.
    pub code: String,
    /// Where it is.
    pub place: String,
    /// What it is.
    pub what: String,
    /// What to do; empty where nothing has to be done.
    pub advice: String,
}

/// A table whose changes are to be captured.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, sqlx::FromRow)]
pub struct Table {
    /// Its name, with its schema.
    pub name: String,
    /// `ordinary` or `partitioned`.
    pub kind: String,
    /// Its partitions, of every level.
    pub partitions: i64,
    /// Its rows, as the planner estimates them.
    pub rows_estimated: i64,
    /// `statement` or `row`, as its kind demands.
    pub captured_by: String,
    /// Whether logical replication writes it.
    pub is_replicated: bool,
}

/// How far the database is adopted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Not at all.
    NotAdopted,
    /// It was begun.
    Begun,
    /// All changes are captured.
    Adopted,
    /// Its tables are Tallybook's own.
    Own,
}

/// What a preflight found.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// How far the database is adopted.
    pub standing: Standing,
    /// Whether nothing stands in the way.
    pub can_be_adopted: bool,
    /// The tables whose changes are to be captured.
    pub tables: Vec<Table>,
    /// Indexes that are to be built, each as it is to be created, concurrently.
    pub indexes: Vec<String>,
    /// What was found, obstacles first.
    pub findings: Vec<Finding>,
}

impl Report {
    /// What stands in the way.
    pub fn obstacles(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.severity == Severity::Obstacle)
    }
}

/// Looks at everything.
pub async fn check(pool: &PgPool) -> Result<Report, Error> {
    let mut session = session(pool).await?;
    let report = check_on(&mut session).await?;
    session.close().await?;
    Ok(report)
}

/// The same in a session of [`super::session`].
pub(super) async fn check_on(on: &mut PgConnection) -> Result<Report, sqlx::Error> {
    let standing = standing(on).await?;
    let mut findings: Vec<Finding> = sqlx::query_as(include_str!("check.sql")).fetch_all(&mut *on).await?;
    if standing == Standing::Own {
        findings.insert(0, own());
    }
    let tables = sqlx::query_as(include_str!("tables.sql")).fetch_all(&mut *on).await?;
    let missing = index::missing(on).await?;
    if matches!(standing, Standing::NotAdopted | Standing::Begun) {
        findings.extend(estimates(on, &missing).await?);
    }
    let can_be_adopted = findings.iter().all(|finding| finding.severity != Severity::Obstacle);
    let indexes = missing.iter().filter(|index| index.parent.is_none()).map(Index::definition).collect();
    Ok(Report { standing, can_be_adopted, tables, indexes, findings })
}

/// What is to be read and written for the indexes, and by the backfill, as the catalog's statistics have it.
async fn estimates(on: &mut PgConnection, missing: &[Index]) -> Result<Vec<Finding>, sqlx::Error> {
    let (relations, key_bytes): (Vec<&str>, Vec<i32>) =
        missing.iter().filter(|index| index.is_to_be_filled()).map(|index| (index.relation.as_str(), index.key_bytes)).unzip();
    sqlx::query_as(include_str!("estimates.sql")).bind(relations).bind(key_bytes).fetch_all(on).await
}

fn own() -> Finding {
    Finding {
        severity: Severity::Obstacle,
        code: "own".to_owned(),
        place: "schema tallybook".to_owned(),
        what: "Tallybook made the source tables of this database itself".to_owned(),
        advice: "Go on with `tallybook migrate up`.".to_owned(),
    }
}

async fn standing(on: &mut PgConnection) -> Result<Standing, sqlx::Error> {
    let is_begun: bool =
        sqlx::query_scalar("select to_regclass('tallybook.installation') is not null").fetch_one(&mut *on).await?;
    if !is_begun {
        return Ok(Standing::NotAdopted);
    }
    if !super::is_adopted(on).await? {
        return Ok(Standing::Own);
    }
    let can_tell: bool =
        sqlx::query_scalar("select to_regproc('tallybook.capture_faults') is not null").fetch_one(&mut *on).await?;
    let is_captured =
        can_tell && sqlx::query_scalar("select not exists (select tallybook.capture_faults())").fetch_one(on).await?;
    Ok(if is_captured { Standing::Adopted } else { Standing::Begun })
}
