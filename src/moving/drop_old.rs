//! The end of the usual design: its objects in one transaction, or none of them; its jobs in the same one, or, where pg_cron works in another
//! database, in one that comes after it.
use super::detect::{self, Object, objects};
use super::switch::{FORGET, state};
use super::{Error, said};
use crate::audit::{self, Action, Actor, Event};
use crate::db::pool::PgPool;
use crate::db::session::Session;
use crate::schedule::pg_cron::{self, Cron, Old};
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, Executor};
use std::time::Duration;

/// How often to try for the locks, which must not make writers wait: each time for a fraction of a second.
const ATTEMPTS_MAX: u32 = 30;
/// Pause between two tries.
const PAUSE: Duration = Duration::from_millis(300);

/// What is left of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Remains {
    /// Objects, in the order in which they are dropped.
    pub objects: Vec<Object>,
    /// Jobs of pg_cron.
    pub jobs: Vec<Old>,
    /// What is to be said of its jobs: why they cannot be seen, or that they do not run.
    pub of_jobs: Option<String>,
}

/// Lists what would be dropped.
pub async fn remains(pool: &PgPool) -> Result<Remains, Error> {
    let objects = objects(&mut *pool.begin().await?).await?;
    let (jobs, of_jobs) = detect::jobs(pool).await?;
    Ok(Remains { objects, jobs, of_jobs })
}

/// Drops exactly what it returns.
///
/// Takes ACCESS EXCLUSIVE on the source tables that have the design's triggers, for an instant, after
/// short waits; never more than that: no CASCADE, no row and no column of the host's.
pub async fn drop_old(pool: &PgPool, by: &Actor) -> Result<Remains, Error> {
    if !state(pool).await?.is_switched {
        return Err(Error::InCharge);
    }
    let mut cron = Cron::look(pool).await?;
    for _ in 0..ATTEMPTS_MAX {
        let dropped = match &mut cron {
            // One transaction for all where one database has all.
            Some(cron) if cron.works_in == cron.database => {
                let mut tx = cron.connection.begin().await?;
                let dropped = attempt(&mut Session::from(&mut *tx), by, Some(&cron.database)).await;
                if dropped.is_ok() {
                    tx.commit().await?;
                }
                dropped
            }
            _ => {
                let mut tx = pool.begin().await?;
                let dropped = attempt(&mut tx, by, None).await;
                if dropped.is_ok() {
                    tx.commit().await?;
                }
                dropped
            }
        };
        match dropped {
            Err(Error::Database(error)) if said(&error).is_some_and(|e| e.code() == "55P03") => tokio::time::sleep(PAUSE).await,
            Err(Error::Database(error)) if said(&error).is_some_and(|e| e.code() == "2BP01") => {
                let (message, detail) = said(&error).map_or(("", ""), |e| (e.message(), e.detail().unwrap_or("")));
                return Err(Error::Needed { message: message.to_owned(), detail: detail.replace('\n', "; ") });
            }
            Err(error) => return Err(error),
            Ok(mut dropped) => {
                if let Some(cron) = cron.as_mut().filter(|cron| cron.works_in != cron.database) {
                    let database = cron.database.clone();
                    let mut tx = cron.connection.begin().await?;
                    dropped.jobs = unschedule(&mut Session::from(&mut *tx), &database).await?;
                    tx.commit().await?;
                }
                sqlx::query(FORGET).execute(pool).await?;
                return Ok(dropped);
            }
        }
    }
    Err(Error::Busy)
}

/// Drops all within a transaction.
async fn attempt(tx: &mut Session<'_>, by: &Actor, with_jobs_of: Option<&str>) -> Result<Remains, Error> {
    tx.execute("set local lock_timeout = '300ms'").await?;
    let objects = objects(tx).await?;
    for object in &objects {
        tx.execute(AssertSqlSafe(object.drop_sql.clone())).await?;
    }
    if !objects.is_empty() {
        let details = json!({ "statements": objects.iter().map(|object| &object.drop_sql).collect::<Vec<_>>() });
        let event = Event { action: Action::DropUsualDesign, workspace: None, target: "the usual design".to_owned(), details };
        audit::record(tx, by, &event).await?;
    }
    let jobs = match with_jobs_of {
        Some(database) => unschedule(tx, database).await?,
        None => Vec::new(),
    };
    Ok(Remains { objects, jobs, of_jobs: None })
}

async fn unschedule(tx: &mut Session<'_>, database: &str) -> Result<Vec<Old>, sqlx::Error> {
    let jobs = pg_cron::old_jobs(&mut *tx, database).await?;
    for job in &jobs {
        sqlx::query("select cron.unschedule($1::bigint)").bind(job.job_id).execute(&mut *tx).await?;
    }
    Ok(jobs)
}
