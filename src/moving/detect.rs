//! What is there of the usual design. Reads catalogs and the design's own tables, and nothing of ours: it works before an installation.
use crate::db::pool::PgPool;
use crate::db::session::Session;
use crate::schedule::pg_cron::{self, Cron, Old};
use jiff::Timestamp;
use serde_json::Value;
use sqlx::types::Json;

/// The key of its table.
pub(super) const KEY: [&str; 5] = ["bucket_date", "workspace_id", "runtime_id", "provider", "model"];
/// The sums that its table may have, and we have, too.
const MEASURES: [&str; 5] = ["input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "event_count"];

/// The usual design, as it is found here.
#[derive(Clone, Debug, serde::Serialize)]
pub struct UsualDesign {
    /// Its objects, in the order in which they would be dropped.
    pub objects: Vec<Object>,
    /// The sums that its table has.
    pub measures: Vec<&'static str>,
    /// Its state row, if there is one.
    pub state: Option<OldState>,
    /// Keys that wait in its queue; none where there is no queue.
    pub dirty_keys: Option<i64>,
    /// Its jobs in pg_cron. Other schedulers cannot be seen from here.
    pub jobs: Vec<Old>,
    /// In which way it differs from what is usual.
    pub variations: Vec<String>,
}

/// One of its objects.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, sqlx::FromRow)]
pub struct Object {
    /// Trigger, function, table or index.
    pub kind: String,
    /// What it is called.
    pub name: String,
    /// What drops it.
    #[serde(skip)]
    pub(super) drop_sql: String,
}

/// What its state row says.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct OldState {
    /// Until when it has rolled up.
    pub watermark_at: Option<Timestamp>,
    /// When its last tick ended.
    pub last_run_finished_at: Option<Timestamp>,
    /// What went wrong in it.
    pub last_error: Option<String>,
}

/// Looks for the usual design; none when its table is not there.
pub async fn detect(pool: &PgPool) -> Result<Option<UsualDesign>, pg_cron::Error> {
    let mut tx = pool.begin().await?;
    let columns: Vec<String> = sqlx::query_scalar(include_str!("columns.sql")).fetch_all(&mut *tx).await?;
    let lacks = |name: &&str| !columns.iter().any(|column| column == name);
    let measures: Vec<_> = MEASURES.into_iter().filter(|name| !lacks(name)).collect();
    if KEY.iter().any(&lacks) || measures.is_empty() {
        return Ok(None);
    }
    let objects = objects(&mut tx).await?;
    let is_there = |kind: &str, name: &str| objects.iter().any(|object| object.kind == kind && object.name.starts_with(name));
    let state = if is_there("table", "public.task_usage_rollup_state") { state(&mut tx).await? } else { None };
    let dirty_keys = if is_there("table", "public.task_usage_daily_dirty") {
        sqlx::query_scalar("select count(*) from public.task_usage_daily_dirty").fetch_optional(&mut *tx).await?
    } else {
        None
    };
    let (jobs, of_jobs) = jobs(pool).await?;
    let mut variations: Vec<String> =
        MEASURES.iter().filter(|name| lacks(name)).map(|name| format!("public.task_usage_daily has no column {name}")).collect();
    let has_key: bool = sqlx::query_scalar(include_str!("has_key.sql")).bind(KEY.as_slice()).fetch_one(&mut *tx).await?;
    variations.extend((!has_key).then(|| "public.task_usage_daily has no unique key of its five key columns".to_owned()));
    for (kind, name) in [
        ("table", "public.task_usage_daily_dirty"),
        ("table", "public.task_usage_rollup_state"),
        ("function", "public.rollup_task_usage_daily("),
        ("function", "public.rollup_task_usage_daily_window("),
        ("function", "public.task_usage_rollup_lag_seconds("),
    ] {
        variations.extend((!is_there(kind, name)).then(|| format!("there is no {kind} {}", name.trim_end_matches('('))));
    }
    for table in ["agent_task_queue", "task_usage"] {
        let queues = objects.iter().any(|o| o.kind == "trigger" && o.name.ends_with(&format!(" on public.{table}")));
        variations.extend((!queues).then(|| format!("no trigger on public.{table} queues what changes")));
    }
    variations.extend(of_jobs);
    Ok(Some(UsualDesign { objects, measures, state, dirty_keys, jobs, variations }))
}

/// Its objects, in the order in which they can be dropped.
pub(super) async fn objects(connection: &mut Session<'_>) -> Result<Vec<Object>, sqlx::Error> {
    sqlx::query_as(include_str!("objects.sql")).fetch_all(connection).await
}

/// Its jobs in pg_cron, and what is to be said of them: why they cannot be seen, or that they do not run. Neither stands in the way of
/// whoever only asks.
pub(super) async fn jobs(pool: &PgPool) -> Result<(Vec<Old>, Option<String>), pg_cron::Error> {
    match Cron::look(pool).await {
        Ok(Some(mut cron)) => {
            let jobs = pg_cron::old_jobs(&mut cron.connection, &cron.database).await?;
            Ok((jobs, cron.check_running().err().map(|error| error.to_string())))
        }
        Ok(None) => Ok((Vec::new(), None)),
        Err(error @ (pg_cron::Error::NoRight { .. } | pg_cron::Error::NeedsSession(_))) => {
            Ok((Vec::new(), Some(format!("jobs of pg_cron cannot be seen: {error}"))))
        }
        Err(error) => Err(error),
    }
}

/// The row as it is: which columns it has is the host's affair.
async fn state(connection: &mut Session<'_>) -> Result<Option<OldState>, sqlx::Error> {
    let sql = "select to_jsonb(s) from public.task_usage_rollup_state s limit 1";
    let row: Option<Json<Value>> = sqlx::query_scalar(sql).fetch_optional(connection).await?;
    Ok(row.map(|Json(row)| {
        let time = |name: &str| row[name].as_str().and_then(|text| text.parse().ok());
        OldState {
            watermark_at: time("watermark_at"),
            last_run_finished_at: time("last_run_finished_at"),
            last_error: row["last_error"].as_str().map(str::to_owned),
        }
    }))
}
