//! Jobs: ours, and those of the usual design.
use super::{COMMAND, Cron, Error};
use sqlx::{Connection, PgConnection, PgExecutor};

/// A job of ours.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, sqlx::FromRow)]
pub struct Job {
    /// Its number.
    pub job_id: i64,
    /// Its name.
    pub name: String,
    /// When it runs.
    pub schedule: String,
    /// What it runs.
    pub command: String,
    /// In which database.
    pub database: String,
    /// As which role.
    pub role: String,
    /// Whether it runs at all.
    pub active: bool,
}

/// A job that ticks in the usual design.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, sqlx::FromRow)]
pub struct Old {
    /// Its number.
    pub job_id: i64,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// When it runs.
    pub schedule: String,
    /// What it runs.
    pub command: String,
    /// Whether it runs at all.
    pub active: bool,
}

impl Cron {
    /// Our job, if it is there.
    pub async fn job(&mut self) -> Result<Option<Job>, Error> {
        let name = self.job_name();
        Ok(job(&mut self.connection, &name).await?)
    }

    /// Sees to it that our job is there, and runs so often.
    pub async fn install(&mut self, every: &str) -> Result<Job, Error> {
        let name = self.job_name();
        let mut tx = self.connection.begin().await?;
        schedule(&mut tx, &self.works_in, &self.database, &name, every).await?;
        tx.commit().await?;
        let there = self
            .job()
            .await?
            .filter(|job| job.active && job.schedule == every && job.command == COMMAND && job.database == self.database);
        there.ok_or_else(|| Error::NotThere { name, database: self.works_in.clone() })
    }

    /// Removes our job and what is written of its runs. Returns whether it was there.
    pub async fn uninstall(&mut self) -> Result<bool, Error> {
        let name = self.job_name();
        let mut tx = self.connection.begin().await?;
        let removed = unschedule(&mut tx, &name).await?;
        sqlx::query("delete from cron.job_run_details where database = $1 and command = $2")
            .bind(&self.database)
            .bind(COMMAND)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        match self.job().await? {
            None => Ok(removed),
            Some(_) => Err(Error::NotThere { name, database: self.works_in.clone() }),
        }
    }
}

async fn job(connection: &mut PgConnection, name: &str) -> Result<Option<Job>, sqlx::Error> {
    sqlx::query_as(
        "select jobid as job_id, jobname::text as name, schedule, command, database, username as role, active
         from cron.job where jobname = $1 order by jobid limit 1",
    )
    .bind(name)
    .fetch_optional(connection)
    .await
}

/// Schedules our job within a transaction, in the place of one that is there.
pub(crate) async fn schedule(
    tx: &mut PgConnection,
    works_in: &str,
    database: &str,
    name: &str,
    every: &str,
) -> Result<(), sqlx::Error> {
    // A job that somebody disabled would stay so.
    unschedule(tx, name).await?;
    // Whoever may schedule elsewhere has been granted that; here everybody may.
    let query = if works_in == database {
        sqlx::query("select cron.schedule($1, $2, $3)").bind(name).bind(every).bind(COMMAND)
    } else {
        sqlx::query("select cron.schedule_in_database($1, $2, $3, $4)").bind(name).bind(every).bind(COMMAND).bind(database)
    };
    query.execute(tx).await.map(drop)
}

/// Removes our job within a transaction. Returns whether it was there.
pub(crate) async fn unschedule(tx: &mut PgConnection, name: &str) -> Result<bool, sqlx::Error> {
    let removed: Option<bool> = sqlx::query_scalar("select bool_and(cron.unschedule(jobid)) from cron.job where jobname = $1")
        .bind(name)
        .fetch_one(tx)
        .await?;
    Ok(removed.is_some())
}

/// The jobs that tick in the usual design of `database`: whatever they are called and whoever owns them.
pub(crate) async fn old_jobs(connection: impl PgExecutor<'_>, database: &str) -> Result<Vec<Old>, sqlx::Error> {
    sqlx::query_as(include_str!("old_jobs.sql")).bind(database).fetch_all(connection).await
}
