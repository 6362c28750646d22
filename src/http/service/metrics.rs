//! `GET /metrics`: what this process counts, and, read at that moment, how the database stands.
//!
//! Service metrics are made anew for each scrape, so that nothing stale is shown while the database is away.
use crate::db::snapshot::in_snapshot;
use crate::http::App;
use crate::http::error::Problem;
use crate::rollup::status::{self, Verification};
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use sqlx::PgPool;
use std::fmt;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio::time::timeout;

const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Until the database must have answered.
const PATIENCE: Duration = Duration::from_secs(3);

/// Metrics for Prometheus
///
/// Counters of this process (`tallybook_http_*`, `tallybook_ingest_*`, `tallybook_fold_*`, `tallybook_verify_*`) and the state of the
/// database (`tallybook_service_*`), which every process shows alike. While the database is away
/// `tallybook_service_database_up` is 0 and the others of the second kind are missing.
#[utoipa::path(get, path = "/metrics", tag = "service", responses(
    (status = 200, body = String, content_type = "application/openmetrics-text", description = "OpenMetrics text."),
))]
pub(super) async fn metrics(State(app): State<App>) -> Result<Response, Problem> {
    let mut text = String::new();
    let service = service(&app.pool).await;
    encode_registry(&mut text, app.metrics.registry())
        .and_then(|()| encode_registry(&mut text, &service))
        .and_then(|()| encode_eof(&mut text))
        .map_err(|fmt::Error| Problem::internal())?;
    Ok(([(CONTENT_TYPE, MEDIA_TYPE)], text).into_response())
}

async fn service(pool: &PgPool) -> Registry {
    let mut registry = Registry::with_prefix("tallybook_service");
    let up = Gauge::<i64>::default();
    registry.register("database_up", "Whether the database answers", up.clone());
    match timeout(PATIENCE, Service::read(pool)).await {
        Ok(Ok(service)) => {
            up.set(1);
            service.register(&mut registry);
        }
        Ok(Err(error)) => tracing::warn!(%error, "the state of the database cannot be shown"),
        Err(_) => tracing::warn!("the database did not tell its state in time"),
    }
    registry
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfTable {
    table: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfRollup {
    rollup: String,
}

/// What is read at a scrape.
struct Service {
    /// Rows of each change table.
    pending: [(&'static str, i64); 4],
    lag_seconds: Option<f64>,
    rollups: Vec<Rollup>,
    faults: i64,
    verification: Verification,
}

#[derive(sqlx::FromRow)]
struct Rollup {
    name: String,
    covered: bool,
    covered_from_seconds: Option<f64>,
}

impl Service {
    async fn read(pool: &PgPool) -> Result<Self, sqlx::Error> {
        in_snapshot(pool, |mut snapshot| async move {
            let (usage, task, agent, issue) =
                sqlx::query_as("select usage_rows, task_rows, agent_rows, issue_rows from tallybook.backlog()")
                    .fetch_one(&mut *snapshot)
                    .await?;
            let (lag_seconds, faults) =
                sqlx::query_as("select tallybook.task_usage_rollup_lag_seconds(), (select count(*) from tallybook.capture_faults())")
                    .fetch_one(&mut *snapshot)
                    .await?;
            let rollups = sqlx::query_as(
                "select name, covered_from = '-infinity' as covered,
                   case when isfinite(covered_from) then extract(epoch from covered_from)::double precision end as covered_from_seconds
                 from tallybook.rollup
                 order by name",
            )
            .fetch_all(&mut *snapshot)
            .await?;
            let pending = [("usage", usage), ("task", task), ("agent", agent), ("issue", issue)];
            let verification = status::verification(&mut snapshot).await?;
            Ok(Self { pending, lag_seconds, rollups, faults, verification })
        })
        .await
    }

    fn register(self, registry: &mut Registry) {
        let pending = Family::<OfTable, Gauge>::default();
        registry.register("pending_rows", "Change rows that are not folded yet; reads count them in", pending.clone());
        for (table, rows) in self.pending {
            pending.get_or_create(&OfTable { table }).set(rows);
        }
        if let Some(seconds) = self.lag_seconds {
            let lag = Gauge::<f64, AtomicU64>::default();
            lag.set(seconds);
            registry.register_with_unit("lag", "Age of the oldest change row that is not folded", Unit::Seconds, lag);
        }
        let faults = Gauge::<i64>::default();
        faults.set(self.faults);
        registry.register("capture_faults", "Triggers that are missing or disabled", faults);
        let covered = Family::<OfRollup, Gauge>::default();
        registry.register("rollup_covered", "Whether a rollup holds all history", covered.clone());
        let since = Family::<OfRollup, Gauge<f64, AtomicU64>>::default();
        registry.register_with_unit(
            "rollup_covered_from",
            "From when on a rollup is complete, where it does not hold all history, since 1970",
            Unit::Seconds,
            since.clone(),
        );
        register_verification(&self.verification, &self.rollups, registry);
        for Rollup { name, covered: is_covered, covered_from_seconds } in self.rollups {
            let of = OfRollup { rollup: name };
            covered.get_or_create(&of).set(is_covered.into());
            if let Some(seconds) = covered_from_seconds {
                since.get_or_create(&of).set(seconds);
            }
        }
    }
}

/// What the continuous verification of all processes together has come to.
fn register_verification(verification: &Verification, rollups: &[Rollup], registry: &mut Registry) {
    let (keys, days) = (Family::<OfRollup, Gauge>::default(), Family::<OfRollup, Gauge>::default());
    registry.register("drifted_keys", "Keys of a rollup that are known to differ from raw usage", keys.clone());
    registry.register("drifted_days", "UTC days on which they lie", days.clone());
    for Rollup { name, .. } in rollups {
        let known = verification.drift.iter().find(|drift| drift.rollup == *name);
        let of = OfRollup { rollup: name.clone() };
        keys.get_or_create(&of).set(known.map_or(0, |drift| drift.keys));
        days.get_or_create(&of).set(known.map_or(0, |drift| drift.days));
    }
    let coverage = Gauge::<f64, AtomicU64>::default();
    coverage.set(verification.coverage);
    registry.register(
        "verify_coverage_ratio",
        "Share of the days from the first usage to the last that have been compared with it at all",
        coverage,
    );
    if let Some(seconds) = verification.oldest_check_seconds {
        let oldest = Gauge::<f64, AtomicU64>::default();
        oldest.set(seconds);
        registry.register_with_unit("verify_oldest_check", "Every day has been compared within this time", Unit::Seconds, oldest);
    }
    if let Some(at) = verification.checked_at {
        let last = Gauge::<i64>::default();
        last.set(at.as_second());
        registry.register_with_unit("verify_last_check", "When days were compared last, since 1970", Unit::Seconds, last);
    }
}

#[cfg(test)]
mod tests {
    use crate::http::testing::Api;

    #[tokio::test]
    async fn both_kinds_are_in_one_valid_text() {
        let api = Api::start().await;
        api.world().await;
        let response = api.server.get("/metrics").await;
        response.assert_status_ok();
        let text = response.text();
        for line in [
            "tallybook_service_database_up 1",
            r#"tallybook_service_pending_rows{table="task"} 1"#,
            r#"tallybook_service_rollup_covered{rollup="task_usage_daily"} 1"#,
            "tallybook_service_capture_faults 0",
            r#"tallybook_service_drifted_keys{rollup="task_usage_daily"} 0"#,
            "tallybook_service_verify_coverage_ratio 0.0",
            r#"tallybook_http_requests_total{method="PUT",route="/v1/agents/{id}",status="201"} 1"#,
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is missing in\n{text}");
        }
        assert!(text.ends_with("# EOF\n") && text.matches("# EOF").count() == 1);
    }

    #[tokio::test]
    async fn while_the_database_is_away_nothing_stale_is_shown() {
        let api = Api::start().await;
        api.database.pool.close().await;
        let text = api.server.get("/metrics").await.text();
        assert!(text.contains("tallybook_service_database_up 0\n"));
        assert!(!text.contains("tallybook_service_pending_rows{"));
    }
}
