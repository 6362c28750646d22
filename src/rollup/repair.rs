//! Repair: rebuilds the days on which a now-view differs from raw, and no others.
use super::verify;
use jiff::civil::Date;
use jiff_sqlx::ToSqlx;
use sqlx::PgPool;

/// What was found, done, and left.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Report {
    /// The UTC days that were rebuilt.
    pub days: Vec<Date>,
    /// Rollup rows written.
    pub rows_written: i64,
    /// The comparison before.
    pub before: verify::Report,
    /// The comparison after.
    pub after: verify::Report,
}

/// Verifies, rebuilds each day that differs in a transaction of its own, and verifies again.
pub async fn repair(pool: &PgPool) -> Result<Report, sqlx::Error> {
    let before = verify::verify(pool).await?;
    let days = before.drifted_days();
    let mut rows_written = 0;
    for day in &days {
        rows_written += sqlx::query_scalar::<_, i64>(include_str!("rebuild_day.sql")).bind(day.to_sqlx()).fetch_one(pool).await?;
    }
    let after = if days.is_empty() { before.clone() } else { verify::verify(pool).await? };
    Ok(Report { days, rows_written, before, after })
}
