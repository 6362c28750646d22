//! Usage of everything, or of one workspace or runtime, by whichever dimensions are asked for: what the command line shows.
use super::answer::ask;
use super::{Measures, Reading, Source};
use crate::db::pool::PgPool;
use crate::model::instant::Instant;
use crate::model::range::Range;
use jiff::civil::Date;
use jiff_sqlx::ToSqlx;
use serde::Serialize;
use std::collections::BTreeSet;
use uuid::Uuid;

/// What usage can be told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Dimension {
    /// UTC day
    Day,
    /// Workspace of the agent
    Workspace,
    /// Runtime of the task
    Runtime,
    /// Provider, in lower case
    Provider,
    /// Model
    Model,
}

impl Dimension {
    /// Every one, in the order in which rows are sorted.
    pub const ALL: [Self; 5] = [Self::Day, Self::Workspace, Self::Runtime, Self::Provider, Self::Model];
}

/// Which usage, told apart by what.
#[derive(Clone, Debug)]
pub struct Question {
    /// The UTC days.
    pub range: Range,
    /// One workspace only.
    pub workspace: Option<Uuid>,
    /// One runtime only.
    pub runtime: Option<Uuid>,
    /// What to tell apart.
    pub by: BTreeSet<Dimension>,
}

/// Usage in parts that add up.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Where the numbers were read.
    pub source: Source,
    /// They equal the sums of the raw usage rows as of `as_of`: always true.
    pub exact: bool,
    /// When the snapshot of the database was taken.
    pub as_of: Instant,
    /// The days that were asked for.
    pub range: Range,
    /// The parts, the newest day first.
    pub items: Vec<Item>,
    /// Their sum.
    pub total: Measures,
}

/// A part: the usage of one key. A dimension that was not asked for is none.
#[derive(Clone, Debug, Serialize, sqlx::FromRow)]
pub struct Item {
    /// The UTC day.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[sqlx(try_from = "OptionalDate")]
    pub date: Option<Date>,
    /// The workspace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace_id: Option<Uuid>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace_name: Option<String>,
    /// The runtime; none for usage of tasks that have none, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime_id: Option<Uuid>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime_name: Option<String>,
    /// The provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// How much.
    #[serde(flatten)]
    #[sqlx(flatten)]
    pub usage: Measures,
}

/// A day as the database gives it, or none.
#[derive(sqlx::Type)]
#[sqlx(transparent)]
struct OptionalDate(Option<jiff_sqlx::Date>);

impl From<OptionalDate> for Option<Date> {
    fn from(date: OptionalDate) -> Self {
        date.0.map(jiff_sqlx::Date::to_jiff)
    }
}

/// Answers from the daily now-view, or from raw. A runtime or workspace that does not exist used nothing: look it up first.
pub async fn summary(pool: &PgPool, reading: Reading, question: &Question) -> Result<Summary, sqlx::Error> {
    ask(pool, |mut snapshot, source| async move {
        let as_of = sqlx::query_scalar("select statement_timestamp()").fetch_one(&mut *snapshot).await?;
        let reading = reading.settled(&mut snapshot, Source::Daily).await?;
        let mut query = sqlx::query_as(reading.sql(&source, include_str!("summary.sql"), Source::Daily))
            .bind(question.workspace)
            .bind(question.range.from.to_sqlx())
            .bind(question.range.to.to_sqlx())
            .bind(question.runtime);
        for dimension in Dimension::ALL {
            query = query.bind(question.by.contains(&dimension));
        }
        let items: Vec<Item> = query.fetch_all(&mut *snapshot).await?;
        let total = items.iter().fold(Measures::default(), |total, item| total + item.usage);
        Ok(Summary { source: reading.source(Source::Daily), exact: true, as_of, range: question.range.clone(), items, total })
    })
    .await
}
