//! Verify: compares each now-view with the sums of the raw rows, both ways, in one snapshot.
use crate::db::snapshot::in_snapshot;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff_sqlx::{Date as SqlDate, Timestamp as SqlTimestamp};
use serde_json::Value;
use sqlx::{PgConnection, PgPool};

/// Differing keys that a report names for each rollup; it counts them all.
const EXAMPLES_MAX: i64 = 1_000;

/// What was compared and what differs.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Report {
    /// When the snapshot was taken, by the database's clock.
    pub as_of: Timestamp,
    /// One for each rollup.
    pub rollups: Vec<RollupReport>,
}

/// The comparison of one rollup.
#[derive(Clone, Debug, serde::Serialize)]
pub struct RollupReport {
    /// Its name.
    pub name: String,
    /// Keys compared.
    pub keys: i64,
    /// Keys whose sums differ from raw.
    pub drifted_keys: i64,
    /// The UTC days on which they lie.
    pub drifted_days: Vec<Date>,
    /// Some of them.
    pub drift: Vec<Drift>,
}

/// A key whose sums in the now-view are not those of the raw rows.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Drift {
    /// The bucket and the dimensions.
    pub key: Value,
    /// The measures that the now-view shows.
    pub shown: Value,
    /// The sums of the raw rows.
    pub raw: Value,
}

impl Report {
    /// Whether every key of every rollup equals raw.
    pub fn exact(&self) -> bool {
        self.rollups.iter().all(|rollup| rollup.drifted_keys == 0)
    }

    /// The UTC days on which any rollup differs, in order.
    pub fn drifted_days(&self) -> Vec<Date> {
        let days: std::collections::BTreeSet<Date> = self.rollups.iter().flat_map(|r| r.drifted_days.iter().copied()).collect();
        days.into_iter().collect()
    }
}

/// Compares every rollup over all history.
pub async fn verify(pool: &PgPool) -> Result<Report, sqlx::Error> {
    in_snapshot(pool, |mut snapshot| async move { verify_in(&mut snapshot).await }).await
}

/// Compares every rollup in the snapshot of the caller's transaction.
pub async fn verify_in(tx: &mut PgConnection) -> Result<Report, sqlx::Error> {
    let (as_of,): (SqlTimestamp,) = sqlx::query_as("select statement_timestamp()").fetch_one(&mut *tx).await?;
    let names: Vec<String> = sqlx::query_scalar("select name from tallybook.rollup order by name").fetch_all(&mut *tx).await?;
    let mut rollups = Vec::with_capacity(names.len());
    for name in names {
        let (keys, drifted_keys, days, examples): (i64, i64, Vec<SqlDate>, sqlx::types::Json<Vec<Drift>>) = sqlx::query_as(
            "select keys, drifted_keys, drifted_days, examples from tallybook.verify($1, '-infinity', 'infinity', $2)",
        )
        .bind(&name)
        .bind(EXAMPLES_MAX)
        .fetch_one(&mut *tx)
        .await?;
        let drifted_days = days.into_iter().map(SqlDate::to_jiff).collect();
        rollups.push(RollupReport { name, keys, drifted_keys, drifted_days, drift: examples.0 });
    }
    Ok(Report { as_of: as_of.to_jiff(), rollups })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use sqlx::Executor;

    #[tokio::test]
    async fn a_planted_row_is_found_and_repaired() {
        let db = testing::database().await;
        db.pool.execute(include_str!("../testing/one_task.sql")).await.unwrap();
        assert!(verify(&db.pool).await.unwrap().exact());
        crate::rollup::fold::drain(&db.pool).await.unwrap();
        db.pool.execute("update tallybook.task_usage_daily set input_tokens = input_tokens + 1").await.unwrap();
        let report = verify(&db.pool).await.unwrap();
        let daily = &report.rollups[0];
        assert_eq!((daily.name.as_str(), daily.keys, daily.drifted_keys), ("task_usage_daily", 1, 1));
        assert_eq!(daily.drift[0].shown["input_tokens"], serde_json::json!(11));
        assert_eq!(daily.drift[0].raw["input_tokens"], serde_json::json!(10));
        let repair = crate::rollup::repair::repair(&db.pool).await.unwrap();
        assert_eq!(repair.days.len(), 1);
        assert!(repair.after.exact());
    }
}
