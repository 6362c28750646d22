//! `POST /v1/usage`: stores usage reports, all of a request or none.
//!
//! How a report is read is in [`super::item`]; what is done with it is the business of [`crate::ingest`].
use super::batch::Batch;
use super::item::{self, UsageReport};
use crate::db::error::{Cause, cause};
use crate::http::App;
use crate::http::auth::{self, Caller};
use crate::http::body::Json;
use crate::http::error::Problem;
use crate::http::openapi::problems;
use crate::http::parameters::Query;
use crate::ingest::error::FAULTS_MAX;
use crate::ingest::{Error, Fault, Outcome, Report};
use crate::telemetry::metrics::ingest as metrics;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use utoipa::openapi::{RefOr, Response};
use utoipa::{IntoResponses, ToSchema};
use uuid::Uuid;

/// When to send again what the queue had no room for.
const BUSY_RETRY: Duration = Duration::from_secs(1);
/// When to send again what the database did not take.
const UNAVAILABLE_RETRY: Duration = Duration::from_secs(2);

/// Reports to be stored together or not at all.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object with `reports`")]
pub(super) struct UsageReports {
    /// No two of the same task, provider, model and event key.
    #[schema(value_type = Vec<UsageReport>, min_items = 1, max_items = 10_000)]
    reports: Batch,
}

/// What became of the reports.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = UsageStored)]
pub(super) struct Stored {
    /// One for each report, in their order.
    results: Vec<ReportOutcome>,
    /// How many were stored under a new identity.
    #[schema(example = 1)]
    created: u64,
    /// How many took the place of what was stored.
    #[schema(example = 0)]
    replaced: u64,
    /// How many were stored just so already.
    #[schema(example = 0)]
    unchanged: u64,
    /// How many were older than what is stored, which stays.
    #[schema(example = 0)]
    stale: u64,
    /// How many are of usage that retention has sealed: they change nothing.
    #[schema(example = 0)]
    sealed: u64,
}

/// What became of a report.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReportOutcome {
    /// The report's place in the request, from 0.
    #[schema(example = 0)]
    index: usize,
    /// Its task.
    task_id: Uuid,
    /// What became of it.
    outcome: Outcome,
}

/// Report usage
///
/// Stores up to 10,000 reports, all or none, and answers after the commit. A report is known by its task, provider, model
/// and `event_key`: sent again it replaces what is stored, so any request may be repeated, and the same request again changes
/// nothing, however late. With an inline `task` one call is enough: what it names is made where it is missing, and a stored task moves
/// there, unless the report turns out to be stale, unchanged or sealed.
#[utoipa::path(
    post, path = "/v1/usage", tag = "usage", operation_id = "report_usage",
    request_body = UsageReports,
    responses((status = 200, body = Stored, description = "Committed."), ReportProblems),
    security(("token" = []))
)]
pub(super) async fn report(
    caller: Caller<auth::Ingest>,
    State(app): State<App>,
    Query(()): Query<()>,
    Json(UsageReports { reports }, _place): Json<UsageReports>,
) -> Result<axum::Json<Stored>, Problem> {
    let began = Instant::now();
    let count = reports.given;
    app.metrics.ingest.requests.inc();
    app.metrics.ingest.request_reports.observe(metrics::number(count));
    app.rates.reports(caller.token_id, count, &app.metrics)?;
    let stored = match read(&app, reports) {
        Ok(reports) => {
            let tasks: Vec<Uuid> = reports.iter().map(|report| report.task_id).collect();
            app.ingest.submit(caller.access(), reports).await.map(|outcomes| Stored::new(tasks, outcomes))
        }
        Err(error) => Err(error),
    };
    app.metrics.ingest.duration_seconds.observe(began.elapsed().as_secs_f64());
    match stored {
        Ok(stored) => {
            count_outcomes(&app, &stored);
            Ok(axum::Json(stored))
        }
        Err(error) => {
            let outcome = if error.is_refusal() { metrics::Outcome::Refused } else { metrics::Outcome::Failed };
            app.metrics.ingest.add(outcome, u64::try_from(count).unwrap_or(u64::MAX));
            Err(problem(error))
        }
    }
}

/// Reads all reports, or says what is wrong with the first of those that cannot be read.
fn read(app: &App, Batch { reports, given }: Batch) -> Result<Vec<Report>, Error> {
    app.ingest.check_size(given)?;
    let now = app.clock.now();
    let mut faults = Vec::new();
    let mut parsed = Vec::with_capacity(reports.len());
    for (index, report) in reports.into_iter().enumerate() {
        parsed.extend(item::parse(index, &report, now, &mut faults));
        if faults.len() >= FAULTS_MAX {
            faults.truncate(FAULTS_MAX);
            break;
        }
    }
    if faults.is_empty() { Ok(parsed) } else { Err(Error::Invalid(faults)) }
}

impl Stored {
    fn new(tasks: Vec<Uuid>, outcomes: Vec<Outcome>) -> Self {
        let mut stored = Self::default();
        for (index, (task_id, outcome)) in tasks.into_iter().zip(outcomes).enumerate() {
            *match outcome {
                Outcome::Created => &mut stored.created,
                Outcome::Replaced => &mut stored.replaced,
                Outcome::Unchanged => &mut stored.unchanged,
                Outcome::Stale => &mut stored.stale,
                Outcome::Sealed => &mut stored.sealed,
            } += 1;
            stored.results.push(ReportOutcome { index, task_id, outcome });
        }
        stored
    }
}

fn count_outcomes(app: &App, stored: &Stored) {
    let counter = &app.metrics.ingest;
    counter.add(metrics::Outcome::Created, stored.created);
    counter.add(metrics::Outcome::Replaced, stored.replaced);
    counter.add(metrics::Outcome::Unchanged, stored.unchanged);
    counter.add(metrics::Outcome::Stale, stored.stale);
    counter.add(metrics::Outcome::Sealed, stored.sealed);
}

fn problem(error: Error) -> Problem {
    let detail = error.to_string();
    match error {
        Error::Empty => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "empty_batch", detail).with("field", "reports"),
        Error::TooMany { max, .. } => Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_many_reports", detail)
            .with("field", "reports")
            .with("reports_max", max),
        Error::Invalid(faults) => refused(&faults, detail),
        Error::Refused(_) => Problem::conflict("refused_by_source", detail),
        Error::Busy => Problem::unavailable("ingest_busy", detail, BUSY_RETRY),
        Error::Closed => Problem::unavailable("shutting_down", detail, UNAVAILABLE_RETRY),
        Error::TimedOut | Error::Interrupted => Problem::unavailable("outcome_unknown", detail, UNAVAILABLE_RETRY),
        // Whoever has tried to commit has logged it.
        Error::Database(error) => match cause(&error) {
            Cause::Unavailable => {
                let detail = "the database does not answer; send it again, nothing is counted twice";
                Problem::unavailable("database_unavailable", detail, UNAVAILABLE_RETRY)
            }
            Cause::Timeout => {
                let detail = "the database took too long; send it again, or less at a time";
                Problem::unavailable("database_timeout", detail, UNAVAILABLE_RETRY)
            }
            Cause::Conflict => {
                let detail = "something else holds what is to be changed; send it again";
                Problem::unavailable("conflicting_change", detail, BUSY_RETRY)
            }
            Cause::Other => Problem::failed(&error),
        },
    }
}

/// 404 if all that is wrong is that things are not there, 409 if it is all of the tables; its code if they all have the same.
fn refused(faults: &[Fault], detail: String) -> Problem {
    let is_not_found = faults.iter().all(|fault| fault.code.is_not_found());
    let status = match faults {
        _ if is_not_found => StatusCode::NOT_FOUND,
        _ if faults.iter().all(|fault| fault.code.is_of_source()) => StatusCode::CONFLICT,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    };
    let code = match faults {
        [first, rest @ ..] if rest.iter().all(|fault| fault.code == first.code) => first.code.name(),
        _ => "invalid_reports",
    };
    let first = faults.first();
    Problem::new(status, code, detail)
        .with("field", first.map(Fault::path))
        .with("index", first.map(|fault| fault.index))
        .with("errors", faults)
}

/// What can be wrong with a report request.
struct ReportProblems;

impl IntoResponses for ReportProblems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let own = [
            (400, "The body is not JSON, or not an object with `reports`."),
            (404, "Tasks, or what `task` names, are not there or not the token's: `unknown_task`, `unknown_agent` ... See 422."),
            (
                409,
                "An adopted database does not take it: it has no column for what `errors` names (`column_missing`), cannot hold it \
                 (`not_writable`), or its owner does not allow it (`refused_by_source`).",
            ),
            (413, "The body is too large, or has more than 10,000 reports (`too_many_reports`)."),
            (415, "The body is not JSON."),
            (
                422,
                "Reports cannot be stored as they are, and none of the request is: `errors` lists up to 20 of what is wrong, each with \
                 `index`, `field`, `code` (`invalid_field`, `duplicate_identity`, `agent_required`, `workspace_required` ...) and `reason`. \
                 The problem's own `code` is theirs if they all have one, else `invalid_reports`.",
            ),
        ];
        problems(&own)
    }
}

#[cfg(test)]
mod tests {
    use crate::access::Scope;
    use crate::http::testing::{Api, id};
    use serde_json::{Value, json};

    fn report(task: &str) -> Value {
        json!({
            "task_id": id(task), "provider": "Anthropic", "model": "opus",
            "input_tokens": 1000, "output_tokens": 200, "cache_read_tokens": 30, "cache_write_tokens": 4
        })
    }

    fn with(mut report: Value, field: &str, value: Value) -> Value {
        report[field] = value;
        report
    }

    fn batch(reports: impl IntoIterator<Item = Value>) -> Value {
        json!({ "reports": Vec::from_iter(reports) })
    }

    async fn stored_rows(api: &Api) -> i64 {
        sqlx::query_scalar("select count(*) from public.task_usage").fetch_one(&api.database.pool).await.unwrap()
    }

    #[tokio::test]
    async fn each_report_is_answered_and_counted_at_once() {
        let api = Api::start().await;
        api.world().await;
        let first = batch([
            with(report("task"), "sequence", json!(2)),
            with(with(report("task"), "event_key", json!("req-1")), "cost_usd", json!("0.0125")),
        ]);
        let response = api.post("/v1/usage", &first).await;
        response.assert_status_ok();
        let outcome = |index: u64, outcome: &str| json!({"index": index, "task_id": id("task"), "outcome": outcome});
        assert_eq!(
            response.json::<Value>(),
            json!({"results": [outcome(0, "created"), outcome(1, "created")], "created": 2, "replaced": 0, "unchanged": 0, "stale": 0, "sealed": 0})
        );
        let usage = format!("/v1/tasks/{}/usage", id("task"));
        let shown: Value = api.get(&usage).await.json();
        assert_eq!((&shown["total"]["input_tokens"], &shown["total"]["cost_usd"]), (&json!(2000), &json!("0.0125")));

        let again: Value = api.post("/v1/usage", &first).await.json();
        assert_eq!(again["unchanged"], 2);
        let corrected = batch([
            with(with(report("task"), "sequence", json!(1)), "input_tokens", json!(1)),
            with(with(report("task"), "event_key", json!("req-1")), "input_tokens", json!(500)),
        ]);
        let corrected: Value = api.post("/v1/usage", &corrected).await.json();
        assert_eq!(corrected["results"], json!([outcome(0, "stale"), outcome(1, "replaced")]));
        let shown: Value = api.get(&usage).await.json();
        assert_eq!(shown["total"]["input_tokens"], 1500);
        let metrics = api.server.get("/metrics").await.text();
        for line in ["created\"} 2", "unchanged\"} 2", "replaced\"} 1", "stale\"} 1"] {
            assert!(metrics.contains(&format!("tallybook_ingest_reports_total{{outcome=\"{line}")), "{line}\n{metrics}");
        }
    }

    #[tokio::test]
    async fn c03_a_batch_that_was_sealed_is_answered_so_a_year_later_and_counts_once() {
        let api = Api::start().await;
        api.world().await;
        let sent = batch([
            with(report("task"), "occurred_at", json!("2026-02-01T10:00:00Z")),
            with(with(report("task"), "event_key", json!("req-1")), "occurred_at", json!("2026-02-01T23:59:59Z")),
        ]);
        api.post("/v1/usage", &sent).await.assert_status_ok();
        let seal = "select rows_sealed from tallybook.seal('2026-02-01', '2026-02-02', null, 10)";
        assert_eq!(sqlx::query_scalar::<_, i64>(seal).fetch_one(&api.database.pool).await.unwrap(), 2);
        api.clock.advance(jiff::SignedDuration::from_hours(366 * 24));
        let again: Value = api.post("/v1/usage", &sent).await.json();
        assert_eq!((&again["sealed"], &again["created"]), (&json!(2), &json!(0)));
        assert_eq!(again["results"][1], json!({"index": 1, "task_id": id("task"), "outcome": "sealed"}));
        api.delete(&format!("/v1/tasks/{}?purge=true", id("task"))).await.assert_status_no_content();
        let gone: Value = api.post("/v1/usage", &sent).await.json();
        assert_eq!(gone["sealed"], 2, "also when the task is gone");
        assert_eq!(stored_rows(&api).await, 0);
        let usage: Value = api.get(&format!("/v1/runtimes/{}/usage?days=3660", id("runtime"))).await.json();
        assert_eq!((&usage["total"]["event_count"], &usage["total"]["input_tokens"]), (&json!(2), &json!(2000)));
        let metrics = api.server.get("/metrics").await.text();
        assert!(metrics.contains("tallybook_ingest_reports_total{outcome=\"sealed\"} 4"), "{metrics}");
    }

    #[tokio::test]
    async fn one_call_makes_a_task_and_all_that_it_names() {
        let api = Api::start().await;
        api.world().await;
        let ingest = api.token(Some(id("workspace")), &[Scope::Ingest]).await;
        let task = json!({"agent": {"name": "ada"}, "runtime": {"name": "box"}, "issue": {"title": "Fix it"}});
        let body = batch([with(report("fresh"), "task", task.clone())]);
        api.with(&ingest).post("/v1/usage", &body).await.assert_status_ok();
        let made: Value = api.get(&format!("/v1/tasks/{}", id("fresh"))).await.json();
        assert_eq!((&made["workspace_id"], &made["status"]), (&json!(id("workspace")), &json!("running")));

        // A token for all workspaces has to say which.
        let body = batch([with(report("fresher"), "task", task.clone())]);
        let refused = api.post("/v1/usage", &body).await;
        refused.assert_status_unprocessable_entity();
        assert_eq!(refused.json::<Value>()["code"], "workspace_required");
        let body = batch([with(report("fresher"), "task", with(task, "workspace_id", json!(id("workspace"))))]);
        api.post("/v1/usage", &body).await.assert_status_ok();
    }

    #[tokio::test]
    async fn what_is_wrong_is_named_and_nothing_of_the_batch_is_stored() {
        let api = Api::start().await;
        api.world().await;
        let bad = batch([
            report("task"),
            with(with(report("task"), "input_tokens", json!(-5)), "occurred_at", json!("NaN")),
            with(report("task"), "output_tokens", json!(2_000_000_000_000_i64)),
        ]);
        let response = api.post("/v1/usage", &bad).await;
        response.assert_status_unprocessable_entity();
        let mut problem: Value = response.json();
        problem.as_object_mut().unwrap().remove("request_id");
        insta::assert_snapshot!(format!("{problem:#}"));
        assert_eq!(stored_rows(&api).await, 0);
    }

    #[tokio::test]
    async fn every_kind_of_bad_request_has_its_status_and_code() {
        let api = Api::start().await;
        api.world().await;
        api.other_world().await;
        let many = (0..10_001).map(|n| with(report("task"), "event_key", json!(n.to_string())));
        let placed = |task: Value| batch([with(report("fresh"), "task", task)]);
        let token = api.token(Some(id("workspace")), &[Scope::Ingest]).await;
        for (body, status, code, field) in [
            (json!([]), 400, "invalid_field", json!(null)),
            (json!({"report": []}), 400, "invalid_field", json!("report")),
            (json!({"reports": 5}), 400, "invalid_field", json!("reports")),
            (json!({"reports": []}), 422, "empty_batch", json!("reports")),
            (batch(many), 413, "too_many_reports", json!("reports")),
            (batch([json!("x")]), 422, "invalid_field", json!("reports[0]")),
            (batch([report("task"), report("task")]), 422, "duplicate_identity", json!("reports[1]")),
            (batch([report("nowhere")]), 404, "unknown_task", json!("reports[0].task_id")),
            (batch([report("task"), report("other task")]), 404, "unknown_task", json!("reports[1].task_id")),
            (placed(json!({"agent": {"id": id("other agent")}})), 404, "unknown_agent", json!("reports[0].task.agent.id")),
            (
                placed(json!({"workspace_id": id("other workspace")})),
                404,
                "unknown_workspace",
                json!("reports[0].task.workspace_id"),
            ),
            (placed(json!({"runtime": {"name": "box"}})), 422, "agent_required", json!("reports[0].task.agent")),
            (
                batch([report("nowhere"), placed(json!({}))["reports"][0].clone()]),
                422,
                "invalid_reports",
                json!("reports[0].task_id"),
            ),
        ] {
            let response = api.with(&token).post("/v1/usage", &body).await;
            let problem: Value = response.json();
            let answer = (response.status_code().as_u16(), &problem["code"], &problem["field"]);
            assert_eq!(answer, (status, &json!(code), &field), "{problem}");
        }
        assert_eq!(stored_rows(&api).await, 0);
    }

    #[tokio::test]
    async fn only_those_who_may_report_do() {
        let api = Api::start().await;
        api.world().await;
        let body = batch([report("task")]);
        api.server.post("/v1/usage").json(&body).await.assert_status_unauthorized();
        let read = api.token(Some(id("workspace")), &[Scope::Read]).await;
        api.with(&read).post("/v1/usage", &body).await.assert_status_forbidden();
        let ingest = api.token(Some(id("workspace")), &[Scope::Ingest]).await;
        api.with(&ingest).post("/v1/usage", &body).await.assert_status_ok();
    }

    #[tokio::test]
    async fn c02_the_largest_batch_is_taken_whole() {
        let api = Api::start().await;
        api.world().await;
        let task = json!({"agent": {"name": "an agent of some name"}, "runtime": {"name": "a runtime of some name"}, "issue": {"title": "Some title"}});
        let report = with(with(report("task"), "task", task), "occurred_at", json!("2026-03-09T09:00:00.123456Z"));
        let reports = (0..10_000).map(|n| with(report.clone(), "event_key", json!(format!("request-{n:060}"))));
        let stored: Value = api.post("/v1/usage", &batch(reports)).await.json();
        assert_eq!(stored["created"], 10_000);
    }

    #[tokio::test]
    async fn c01_a_database_that_goes_away_is_503_and_the_retry_is_stored() {
        let api = Api::start().await;
        api.world().await;
        // The token is looked up while the database answers, the reports are stored when it does not.
        let lock = "lock table public.task_usage";
        let mut holder = api.database.connect().await;
        let mut tx = sqlx::Connection::begin(&mut holder).await.unwrap();
        sqlx::query(lock).execute(&mut *tx).await.unwrap();
        let cut = async {
            let mut operator = api.database.connect().await;
            let waiting = "select count(pg_terminate_backend(pid)) from pg_stat_activity \
                           where datname = current_database() and wait_event_type = 'Lock'";
            while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut operator).await.unwrap() == 0 {
                tokio::task::yield_now().await;
            }
        };
        let body = batch([report("task")]);
        let (response, ()) = tokio::join!(async { api.post("/v1/usage", &body).await }, cut);
        response.assert_status_service_unavailable();
        assert_eq!(response.json::<Value>()["code"], "database_unavailable");
        assert_eq!(response.header("retry-after"), "2");
        tx.rollback().await.unwrap();
        let stored: Value = api.post("/v1/usage", &body).await.json();
        assert_eq!(stored["created"], 1);
    }
}
