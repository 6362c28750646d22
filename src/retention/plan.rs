//! Which UTC days are old, and what they hold. The database's clock says what day it is.
use super::Age;
use super::reference::{Reference, references};
use crate::db::pool::PgPool;
use crate::db::snapshot::in_snapshot;
use jiff::civil::Date;
use jiff_sqlx::Date as SqlDate;

/// How long what is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Raw usage.
    pub raw: Option<Age>,
    /// The quarter hours of sealed usage.
    pub quarter_hours: Option<Age>,
}

/// What a run would do.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Plan {
    /// Raw usage before this UTC day is to be sealed; none: nothing is.
    pub seal_before: Option<Date>,
    /// The days of it, oldest first.
    pub seal: Vec<PlannedDay>,
    /// The foreign keys of others that refer to raw usage; none where nothing is to be sealed.
    pub references: Vec<Reference>,
    /// The quarter hours of usage that is sealed then, before this UTC day, are to become days; none: nothing is.
    pub thin_before: Option<Date>,
    /// The days of it, oldest first.
    pub thin: Vec<PlannedDay>,
}

/// A UTC day, and what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct PlannedDay {
    /// The day.
    pub day: Date,
    /// Its rows: of raw usage to be sealed; of sealed usage, or of raw usage sealed first, to be thinned.
    pub rows: i64,
}

impl Plan {
    /// Raw rows to be sealed.
    pub fn raw_rows(&self) -> i64 {
        self.seal.iter().map(|day| day.rows).sum()
    }
}

/// Finds what is old, in one snapshot.
pub async fn plan(pool: &PgPool, policy: Policy) -> Result<Plan, sqlx::Error> {
    in_snapshot(pool, |mut snapshot| async move {
        let cuts = "select (now() at time zone 'UTC')::date - $1::integer, (now() at time zone 'UTC')::date - $2::integer";
        let (seal_before, thin_before): (Option<SqlDate>, Option<SqlDate>) = sqlx::query_as(cuts)
            .bind(policy.raw.map(Age::days))
            .bind(policy.quarter_hours.map(Age::days))
            .fetch_one(&mut *snapshot)
            .await?;
        let seal: Vec<(SqlDate, i64)> =
            sqlx::query_as(include_str!("days_to_seal.sql")).bind(seal_before).fetch_all(&mut *snapshot).await?;
        let references = match seal_before.filter(|_| !seal.is_empty()) {
            Some(before) => references(&mut snapshot, before).await?,
            None => Vec::new(),
        };
        let thin = sqlx::query_as(include_str!("days_to_thin.sql"))
            .bind(thin_before)
            .bind(seal_before)
            .fetch_all(&mut *snapshot)
            .await?;
        Ok(Plan {
            seal_before: seal_before.map(SqlDate::to_jiff),
            seal: days(seal),
            references,
            thin_before: thin_before.map(SqlDate::to_jiff),
            thin: days(thin),
        })
    })
    .await
}

fn days(rows: Vec<(SqlDate, i64)>) -> Vec<PlannedDay> {
    rows.into_iter().map(|(day, rows)| PlannedDay { day: day.to_jiff(), rows }).collect()
}
