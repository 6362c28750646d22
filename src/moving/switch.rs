//! The schedule's way over, and back.
//!
//! What will be disabled is written down first, in our database; then, in one transaction of the database in which pg_cron works, the old
//! jobs are disabled and ours is scheduled; then it is noted as done. Killed between any two, the same command goes on.
use super::{Error, detect};
use crate::db::pool::PgPool;
use crate::schedule::pg_cron::{self, Cron, Old};
use sqlx::types::Json;
use sqlx::{Connection, PgConnection};

/// Who folds from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Scheduler {
    /// A job of pg_cron
    PgCron,
    /// The loop of `tallybook serve`
    Loop,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Switched {
    /// Who folds.
    pub scheduler: Scheduler,
    /// The old jobs that are disabled.
    pub disabled: Vec<Old>,
    /// Whether it had been done before.
    pub already: bool,
}

/// What is written down of it.
#[derive(sqlx::FromRow)]
pub(super) struct State {
    is_begun: bool,
    pub(super) is_switched: bool,
    #[sqlx(json)]
    pub(super) disabled_jobs: Vec<Old>,
    pub(super) has_own_job: bool,
}

/// Reads how far it is.
pub(super) async fn state(pool: &PgPool) -> Result<State, sqlx::Error> {
    sqlx::query_as(
        "select begun_at is not null as is_begun, switched_at is not null as is_switched, disabled_jobs, has_own_job from tallybook.moving_state",
    )
    .fetch_one(pool)
    .await
}

/// Notes that the usual design is in charge, or gone.
pub(super) const FORGET: &str = "update tallybook.moving_state
    set begun_at = null, switched_at = null, cron_database = null, disabled_jobs = '[]', has_own_job = false";

/// Hands the schedule over: to `wanted`, or, if nothing is wanted, to the kind of scheduler that had it.
pub async fn switch(pool: &PgPool, wanted: Option<Scheduler>, every: &str) -> Result<Switched, Error> {
    let before = state(pool).await?;
    if before.is_switched {
        let scheduler = if before.has_own_job { Scheduler::PgCron } else { Scheduler::Loop };
        return Ok(Switched { scheduler, disabled: before.disabled_jobs, already: true });
    }
    if detect(pool).await?.is_none() {
        return Err(Error::NotThere("there is no table public.task_usage_daily with its key".to_owned()));
    }
    let mut cron = match wanted {
        Some(Scheduler::PgCron) => Some(Cron::open(pool).await?),
        _ => Cron::look(pool).await?,
    };
    let mut disabled = before.disabled_jobs;
    let mut own_before = None;
    if let Some(cron) = &mut cron {
        let active = pg_cron::old_jobs(&mut cron.connection, &cron.database).await?.into_iter().filter(|job| job.active);
        let new: Vec<_> = active.filter(|job| disabled.iter().all(|known| known.job_id != job.job_id)).collect();
        disabled.extend(new);
        own_before = cron.job().await?;
    }
    let scheduler = wanted.unwrap_or(if disabled.is_empty() { Scheduler::Loop } else { Scheduler::PgCron });
    if let (Scheduler::PgCron, Some(cron)) = (scheduler, &cron) {
        cron.check_running()?;
    }
    // A job of ours that was there before is not of this switch's making, and stays when it is taken back.
    let has_own_job = before.has_own_job || (scheduler == Scheduler::PgCron && own_before.is_none());
    sqlx::query(
        "update tallybook.moving_state set begun_at = coalesce(begun_at, now()), cron_database = $1, disabled_jobs = $2, has_own_job = $3",
    )
    .bind(cron.as_ref().map(|cron| cron.works_in.clone()))
    .bind(Json(&disabled))
    .bind(has_own_job)
    .execute(pool)
    .await?;
    if let Some(cron) = &mut cron {
        let (works_in, database, name) = (cron.works_in.clone(), cron.database.clone(), cron.job_name());
        let mut tx = cron.connection.begin().await?;
        for job in &disabled {
            // One that is gone does not run either.
            set_active(&mut tx, job.job_id, false).await?;
        }
        if scheduler == Scheduler::PgCron {
            pg_cron::schedule(&mut tx, &works_in, &database, &name, every).await?;
        }
        tx.commit().await?;
    }
    sqlx::query("update tallybook.moving_state set switched_at = now()").execute(pool).await?;
    Ok(Switched { scheduler, disabled, already: false })
}

/// Hands the schedule back: the old jobs run again, as they were, and ours does not, where the switch made it. Returns the jobs that run.
pub async fn back(pool: &PgPool) -> Result<Vec<Old>, Error> {
    let State { is_begun, disabled_jobs, has_own_job, .. } = state(pool).await?;
    if !is_begun {
        return Err(Error::NotSwitched);
    }
    let mut enabled = Vec::new();
    if !disabled_jobs.is_empty() || has_own_job {
        let mut cron = Cron::open(pool).await?;
        let (database, name) = (cron.database.clone(), cron.job_name());
        let mut tx = cron.connection.begin().await?;
        for job in disabled_jobs {
            enabled.push(enable(&mut tx, job, &database).await?);
        }
        if has_own_job {
            pg_cron::unschedule(&mut tx, &name).await?;
        }
        tx.commit().await?;
    }
    sqlx::query(FORGET).execute(pool).await?;
    Ok(enabled)
}

/// Enables an old job again. Where it is gone, an active one that runs the same does for it: scheduled anew, it has another number.
async fn enable(tx: &mut PgConnection, job: Old, database: &str) -> Result<Old, Error> {
    if set_active(tx, job.job_id, true).await? {
        return Ok(job);
    }
    let anew =
        pg_cron::old_jobs(&mut *tx, database).await?.into_iter().find(|other| other.active && other.command == job.command);
    anew.ok_or(Error::JobGone { job_id: job.job_id, command: job.command, schedule: job.schedule })
}

/// Enables or disables a job, and leaves all else of it as it is. Returns whether it is there.
async fn set_active(tx: &mut PgConnection, job_id: i64, active: bool) -> Result<bool, sqlx::Error> {
    let altered = sqlx::query("select cron.alter_job(jobid, active := $2) from cron.job where jobid = $1");
    Ok(altered.bind(job_id).bind(active).execute(tx).await?.rows_affected() > 0)
}
