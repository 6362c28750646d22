//! Doctor: looks for what can break exactness before it does, and for what has broken it.
//!
//! Each check is a query (`*.sql`) that gives a row for each finding: what, where, what to do, and the SQL that mends it where
//! there is some. [`mod@reference`] compares the schema with what the migrations make. Nothing here changes anything: the reference
//! is made in a transaction that is rolled back.
use crate::db::error::{Cause, cause, sqlstate};
use crate::db::migrate::{self, Migration, State};
use crate::db::pool::PgPool;
use crate::rights;
use sqlx::Executor;

mod finding;
mod reference;

pub use finding::{Finding, Report, Severity, Unchecked};

/// The checks that are one query each, and what they look at.
const CHECKS: [(&str, &str); 9] = [
    ("capture", include_str!("capture.sql")),
    ("source tables", include_str!("sources.sql")),
    ("rights", include_str!("rights.sql")),
    ("settings", include_str!("settings.sql")),
    ("upkeep", include_str!("upkeep.sql")),
    ("transactions", include_str!("transactions.sql")),
    ("indexes", include_str!("indexes.sql")),
    ("usage without a task", include_str!("orphans.sql")),
    ("sealed usage", include_str!("sealed.sql")),
];

/// Makes every check. One that cannot be made is told of in the report; a database that is away is an error.
pub async fn examine(pool: &PgPool) -> Result<Report, sqlx::Error> {
    let migrations = migrate::status(pool).await?;
    let mut report = Report { findings: migrations.iter().filter_map(migration).collect(), unchecked: Vec::new() };
    if migrations.iter().any(|m| !matches!(m.state, State::Applied | State::Unknown)) {
        report
            .unchecked
            .push(Unchecked { check: "everything else".to_owned(), reason: "it needs every migration in place".to_owned() });
        return Ok(report);
    }
    for (check, sql) in CHECKS {
        report.add(check, findings(pool, sql).await)?;
    }
    report.add("rights of this role", lacking(pool).await)?;
    if migrations.iter().all(|m| m.state == State::Applied) {
        report.add("schema", reference::differences(pool).await)?;
    } else {
        let reason = "a newer Tallybook migrated the database; ask that one".to_owned();
        report.unchecked.push(Unchecked { check: "schema".to_owned(), reason });
    }
    report.sort();
    Ok(report)
}

/// Asks one check's question. With no schema in the search path every name is written in full.
async fn findings(pool: &PgPool, sql: &'static str) -> Result<Vec<Finding>, sqlx::Error> {
    let mut tx = pool.begin_with("begin isolation level repeatable read read only").await?;
    tx.execute("set local search_path = pg_catalog").await?;
    sqlx::query_as(sql).fetch_all(&mut *tx).await
}

/// What the role that asks lacks of what the service needs.
async fn lacking(pool: &PgPool) -> Result<Vec<Finding>, sqlx::Error> {
    let role: String = sqlx::query_scalar("select current_user::text").fetch_one(pool).await?;
    let lacking = rights::of_service(pool, &role).await?.into_iter().filter(|right| !right.is_held);
    let finding = |right: rights::Right| Finding {
        severity: Severity::Warning,
        code: "right_missing".to_owned(),
        place: format!("{} {}", right.kind, right.name),
        what: format!("role {role} lacks some of: {}; `tallybook serve` cannot run as it", right.privileges),
        advice: "Grant it, as the role that ran `tallybook migrate up`; `tallybook rights` prints all that is needed.".to_owned(),
        sql: Some(right.statement),
    };
    Ok(lacking.map(finding).collect())
}

impl Report {
    /// Adds what a check found, or that it could not be made. Fails where no other could be made either.
    fn add(&mut self, check: &str, found: Result<Vec<Finding>, sqlx::Error>) -> Result<(), sqlx::Error> {
        match found {
            Ok(findings) => self.findings.extend(findings),
            Err(error) if cause(&error) == Cause::Unavailable && !is_read_only(&error) => return Err(error),
            Err(error) => {
                let reason = error.as_database_error().map_or_else(|| error.to_string(), |e| e.message().to_owned());
                self.unchecked.push(Unchecked { check: check.to_owned(), reason });
            }
        }
        Ok(())
    }
}

/// A standby answers, and lets nothing be made, not even to be rolled back.
fn is_read_only(error: &sqlx::Error) -> bool {
    sqlstate(error).is_some_and(|code| code == "25006")
}

/// What is wrong with a migration, if anything is.
fn migration(migration: &Migration) -> Option<Finding> {
    let (severity, what, advice) = match migration.state {
        State::Applied => return None,
        State::Pending => (Severity::Danger, "it is not applied", "Run `tallybook migrate up`."),
        State::Failed => (Severity::Danger, "it was begun and not finished", "Run `tallybook migrate up`."),
        State::Altered => (
            Severity::Danger,
            "it was applied with another text than this Tallybook carries",
            "Use the build that migrated the database, or restore it from a backup.",
        ),
        State::Unknown => (Severity::Note, "a newer Tallybook applied it", "Upgrade this Tallybook."),
    };
    Some(Finding {
        severity,
        code: "migration".to_owned(),
        place: format!("migration {:04}", migration.version),
        what: what.to_owned(),
        advice: advice.to_owned(),
        sql: None,
    })
}

#[cfg(test)]
mod tests;
