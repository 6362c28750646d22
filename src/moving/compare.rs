//! In which keys the usual design's table differs from raw: an exact comparison of every sum that both have, each slice in one snapshot.
use super::detect::UsualDesign;
use crate::db::pool::PgPool;
use crate::db::snapshot::in_snapshot;
use crate::rollup::verify::{self, DayRange, Scope};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff_sqlx::ToSqlx;
use sqlx::AssertSqlSafe;
use sqlx::types::Json;
use std::collections::BTreeMap;
use uuid::Uuid;

/// What the comparison found.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Comparison {
    /// Keys compared, of either side.
    pub keys: i64,
    /// Keys that raw has and the table has not.
    pub missing: i64,
    /// Keys that the table has and raw has not.
    pub ghosts: i64,
    /// Keys that both have, with other sums.
    pub different: i64,
    /// How many of all three lie on days that its watermark has not passed: its next ticks may still come there.
    pub maybe_late: i64,
    /// Some of them, the newest first.
    pub differences: Vec<Difference>,
}

/// A key that differs.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Difference {
    /// How.
    pub kind: Kind,
    /// The day that it is put on.
    pub bucket_date: Date,
    /// The workspace.
    pub workspace_id: Option<Uuid>,
    /// The runtime; none for usage of tasks that have none.
    pub runtime_id: Option<Uuid>,
    /// The provider, in lower case.
    pub provider: String,
    /// The model.
    pub model: String,
    /// The table's sums.
    pub table: BTreeMap<String, serde_json::Number>,
    /// Raw's sums.
    pub raw: BTreeMap<String, serde_json::Number>,
}

/// How a key differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Raw has it, the table has not.
    Missing,
    /// The table has it, raw has not.
    Ghost,
    /// Both have it.
    Different,
}

impl Comparison {
    /// Keys that differ in any way.
    pub fn drifted(&self) -> i64 {
        self.missing + self.ghosts + self.different
    }
}

type Row = (i64, i64, i64, i64, i64, Json<Vec<Difference>>);

/// Compares all history, slice by slice, and names up to `differences_max` keys.
pub async fn compare(pool: &PgPool, design: &UsualDesign, differences_max: usize) -> Result<Comparison, sqlx::Error> {
    let sql = statement(&design.measures);
    let watermark = design.state.as_ref().and_then(|state| state.watermark_at);
    let watermark_day = watermark.map(|at| at.to_zoned(TimeZone::UTC).date());
    let plan = verify::plan(pool, &Scope::default()).await?;
    let mut total = Comparison::default();
    for slice in plan.slices {
        let wanted = differences_max.saturating_sub(total.differences.len());
        let (keys, missing, ghosts, different, maybe_late, Json(differences)) =
            compare_slice(pool, &sql, slice, watermark_day, wanted).await?;
        total.keys += keys;
        total.missing += missing;
        total.ghosts += ghosts;
        total.different += different;
        total.maybe_late += maybe_late;
        total.differences.extend(differences);
    }
    Ok(total)
}

async fn compare_slice(
    pool: &PgPool,
    sql: &str,
    slice: DayRange,
    watermark_day: Option<Date>,
    wanted: usize,
) -> Result<Row, sqlx::Error> {
    in_snapshot(pool, |mut snapshot| async move {
        sqlx::query_as(AssertSqlSafe(sql.to_owned()))
            .bind(slice.since.map(ToSqlx::to_sqlx))
            .bind(slice.until.map(ToSqlx::to_sqlx))
            .bind(watermark_day.map(ToSqlx::to_sqlx))
            .bind(i64::try_from(wanted).unwrap_or(i64::MAX))
            .fetch_one(&mut *snapshot)
            .await
    })
    .await
}

/// The comparison of those sums that the table has; their names are our own.
fn statement(measures: &[&'static str]) -> String {
    let each = |template: &str, separator: &str| {
        measures.iter().map(|name| template.replace("{}", name)).collect::<Vec<_>>().join(separator)
    };
    include_str!("compare.sql")
        .replace("{as they are}", &each("coalesce({}, 0)::numeric as {}", ", "))
        .replace(
            "{sums}",
            &each("coalesce(sum({}) filter (where is_table), 0) as table_{}, coalesce(sum({}) filter (where not is_table), 0) as raw_{}", ", "),
        )
        .replace("{differ}", &each("table_{} <> raw_{}", " or "))
        .replace("{table}", &each("'{}', table_{}", ", "))
        .replace("{raw}", &each("'{}', raw_{}", ", "))
}
