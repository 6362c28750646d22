//! How our job's runs went, as pg_cron wrote it down.
use super::{COMMAND, Cron, Error, Job};
use jiff::Timestamp;
use jiff_sqlx::Timestamp as SqlTimestamp;

/// Runs that a report names.
const RUNS_MAX: i64 = 10;

/// How our job stands.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// The database in which pg_cron works.
    pub works_in: String,
    /// Whether its scheduler runs; none where this role cannot see it.
    pub is_running: Option<bool>,
    /// The job; none: it is not installed.
    pub job: Option<Job>,
    /// Its last runs, the newest first.
    pub runs: Vec<Run>,
    /// Runs of the last day.
    pub runs_in_a_day: i64,
    /// Those of them that failed.
    pub failures_in_a_day: i64,
}

/// A run.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Run {
    /// When it began; none: it could not.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// `succeeded`, `failed`, or how far it is.
    pub status: String,
    /// What PostgreSQL, or pg_cron, said.
    pub message: Option<String>,
}

impl Report {
    /// Why the job cannot be relied on; empty when it can.
    pub fn faults(&self) -> Vec<String> {
        let stands_still =
            (self.is_running == Some(false)).then(|| Error::NotRunning { database: self.works_in.clone() }.to_string());
        let Some(job) = &self.job else {
            let missing = "no job is installed; `tallybook schedule pg-cron install` does that".to_owned();
            return stands_still.into_iter().chain([missing]).collect();
        };
        let inactive = (!job.active).then(|| "the job is disabled; `tallybook schedule pg-cron install` enables it".to_owned());
        let failed = self.runs.iter().find(|run| run.is_over()).filter(|run| run.status == "failed");
        let failed = failed.map(|run| format!("the last run failed: {}", run.reason().unwrap_or("no reason is given")));
        stands_still.into_iter().chain(inactive).chain(failed).collect()
    }
}

impl Run {
    /// The first line of what was said: what comes after it is where.
    pub fn reason(&self) -> Option<&str> {
        self.message.as_deref().and_then(|text| text.lines().next())
    }

    fn is_over(&self) -> bool {
        ["succeeded", "failed"].contains(&self.status.as_str())
    }
}

type Row = (Option<SqlTimestamp>, Option<SqlTimestamp>, Option<String>, Option<String>);

/// Reads how our job stands.
pub async fn report(cron: &mut Cron) -> Result<Report, Error> {
    let job = cron.job().await?;
    let runs: Vec<Row> = sqlx::query_as(
        "select start_time, end_time, status, return_message from cron.job_run_details
         where database = $1 and command = $2 order by runid desc limit $3",
    )
    .bind(&cron.database)
    .bind(COMMAND)
    .bind(RUNS_MAX)
    .fetch_all(&mut cron.connection)
    .await?;
    let (runs_in_a_day, failures_in_a_day) = sqlx::query_as(
        "select count(*), count(*) filter (where status = 'failed') from cron.job_run_details
         where database = $1 and command = $2 and coalesce(end_time, start_time, now()) > now() - interval '1 day'",
    )
    .bind(&cron.database)
    .bind(COMMAND)
    .fetch_one(&mut cron.connection)
    .await?;
    let runs = runs
        .into_iter()
        .map(|(started_at, ended_at, status, message)| Run {
            started_at: started_at.map(SqlTimestamp::to_jiff),
            ended_at: ended_at.map(SqlTimestamp::to_jiff),
            status: status.unwrap_or_else(|| "waiting".to_owned()),
            message: message.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()),
        })
        .collect();
    Ok(Report { works_in: cron.works_in.clone(), is_running: cron.is_running, job, runs, runs_in_a_day, failures_in_a_day })
}
