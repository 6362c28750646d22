//! The contenders: what a user would have instead, each written fairly and with the indexes that its reads need.
//!
//! All stand on the same source tables with the same rows. A contender is what is put beside them ([`Contender::install`]), how it is
//! brought up to date ([`Contender::tick`]), how it is read, and what it shows.
mod counters;
mod matview;
mod raw;
mod tallybook;
mod usual;

use super::Error;
use super::data;
use super::server::{Database, Server};
use serde::{Deserialize, Serialize};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

pub(super) use tallybook::{cover, drain, hold_folds};
pub(super) use usual::BACKFILL as BACKFILL_OF_USUAL;

/// Who takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Contender {
    /// No rollup: every read sums raw rows.
    Raw,
    /// A watermark, a safety lag, a dirty queue, recompute.
    Usual,
    /// A materialized view, refreshed concurrently.
    Matview,
    /// Counters that every writer updates.
    Counters,
    /// Tallybook with tables of its own: usage is captured by statement.
    Tallybook,
    /// Tallybook beside a host's tables: usage is captured by row.
    Adopted,
}

/// What a contender does in SQL.
struct Design {
    name: &'static str,
    /// Puts it beside the source tables; none where nothing is put there.
    install: Option<&'static str>,
    /// Sums all history into what was installed.
    fill: Option<&'static str>,
    /// Brings it up to date; none where it always is.
    tick: Option<&'static str>,
    /// `$1` a runtime: its last 30 days by day, provider and model.
    read: String,
    /// All daily keys with their sums.
    shown: String,
}

impl Contender {
    /// All of them, raw first: the others are compared with it.
    pub(super) const ALL: [Self; 6] = [Self::Raw, Self::Usual, Self::Matview, Self::Counters, Self::Tallybook, Self::Adopted];

    fn design(self) -> Design {
        match self {
            Self::Raw => raw::design(),
            Self::Usual => usual::design(),
            Self::Matview => matview::design(),
            Self::Counters => counters::design(),
            Self::Tallybook => tallybook::design("Tallybook"),
            Self::Adopted => tallybook::design("Tallybook, adopted"),
        }
    }

    /// What it is called in tables.
    pub(super) fn name(self) -> &'static str {
        self.design().name
    }

    /// Whether it is Tallybook, which never differs.
    pub(super) fn is_ours(self) -> bool {
        matches!(self, Self::Tallybook | Self::Adopted)
    }

    /// Puts it beside the source tables of a copy of the history, of which it has summed nothing yet.
    pub(super) async fn install(self, database: &Database) -> Result<(), Error> {
        match self {
            Self::Tallybook => return Ok(()),
            Self::Adopted => return tallybook::adopt(database).await,
            _ => database.run("drop schema tallybook cascade").await?,
        }
        if let Some(install) = self.design().install {
            database.run(install).await?;
        }
        Ok(())
    }

    /// Sums all history.
    pub(super) async fn fill(self, database: &Database) -> Result<(), Error> {
        if self.is_ours() {
            return cover(database).await;
        }
        if let Some(fill) = self.design().fill {
            database.run(fill).await?;
        }
        Ok(())
    }

    /// A copy of `original`, which holds the history, with the contender beside it and all summed.
    pub(super) async fn ready(self, server: &Server, original: &Database, name: &str) -> Result<Database, Error> {
        let name = format!("{name}_{}", self.slug());
        if server.has(&name).await? {
            return Ok(server.database(&name));
        }
        let database = server.copy_as(&name, original).await?;
        self.install(&database).await?;
        self.fill(&database).await?;
        database.run("vacuum (analyze)").await?;
        Ok(database)
    }

    /// The same for the history of so many rows alone.
    pub(super) async fn ready_on_history(self, server: &Server, rows: u64) -> Result<Database, Error> {
        self.ready(server, &data::history(server, rows).await?, &format!("ready_{rows}")).await
    }

    fn slug(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Usual => "usual",
            Self::Matview => "matview",
            Self::Counters => "counters",
            Self::Tallybook => "tallybook",
            Self::Adopted => "adopted",
        }
    }

    /// Whether a tick brings it up to date; the others always are.
    pub(super) fn ticks(self) -> bool {
        self.design().tick.is_some()
    }

    /// Brings it up to date once.
    pub(super) async fn tick(self, conn: &mut PgConnection) -> Result<(), sqlx::Error> {
        match self.design().tick {
            Some(tick) => sqlx::query(tick).execute(conn).await.map(drop),
            None => Ok(()),
        }
    }

    /// The read of a runtime's last 30 days: `$1` is its id.
    pub(super) fn read(self) -> AssertSqlSafe<String> {
        AssertSqlSafe(self.design().read)
    }

    /// In how many daily keys what it shows now differs from raw; of ours, in all rollups.
    pub(super) async fn differing(self, database: &Database) -> Result<u64, Error> {
        let sql = include_str!("differing.sql")
            .replace("{shown}", &self.design().shown)
            .replace("{raw}", include_str!("shown_raw.sql"));
        let mut conn = database.connect().await?;
        conn.execute("set work_mem = '256MB'").await?;
        let daily: i64 = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut conn).await?;
        conn.close().await?;
        let others = if self.is_ours() { tallybook::drifted(database).await? } else { 0 };
        Ok(u64::try_from(daily + others).unwrap_or(u64::MAX))
    }
}
