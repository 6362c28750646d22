use super::*;
use crate::db::pool;
use crate::http::limits::Limits;
use crate::http::testing::{Api, app};
use crate::testing;
use axum_test::TestServer;
use serde_json::Value;
use sqlx::Executor;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

fn assert_lines(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.lines().any(|told| told == *line), "{line} is missing in\n{text}");
    }
}

#[tokio::test]
async fn both_kinds_are_in_one_valid_text() {
    let api = Api::start().await;
    api.world().await;
    let response = api.server.get("/metrics").await;
    response.assert_status_ok();
    let text = response.text();
    assert_lines(
        &text,
        &[
            "tallybook_service_database_up 1",
            r#"tallybook_service_part_read{part="pending"} 1"#,
            r#"tallybook_service_part_read{part="storage"} 1"#,
            r#"tallybook_service_pending_rows{kind="task"} 1"#,
            r#"tallybook_service_rollup_covered{rollup="task_usage_daily"} 1"#,
            r#"tallybook_service_rollup_uncovered_days{rollup="task_usage_daily"} 0"#,
            "tallybook_service_capture_faults 0",
            "tallybook_service_fold_failing 0",
            r#"tallybook_service_drifted_keys{rollup="task_usage_daily"} 0"#,
            r#"tallybook_service_backfill_rows_left{rollup="task_usage_daily"} 0"#,
            "tallybook_service_verify_coverage_ratio 0.0",
            "tallybook_ingest_queue_reports 0",
            "tallybook_pool_connections_max 16",
            r#"tallybook_http_requests_total{method="PUT",route="/v1/agents/{id}",status="201"} 1"#,
        ],
    );
    assert!(text.ends_with("# EOF\n") && text.matches("# EOF").count() == 1);
}

#[tokio::test]
async fn what_is_not_covered_is_counted_in_days() {
    let api = Api::start().await;
    api.world().await;
    for day in ["01", "02", "10"] {
        api.use_tokens("task", &format!("2026-03-{day}T09:00:00Z"), "opus", 1, None).await;
    }
    let cover = async |from: &str| {
        sqlx::query(
            "update tallybook.rollup set reads_raw = true, covered_from = $1::timestamptz where name = 'task_usage_daily'",
        )
        .bind(from)
        .execute(&api.database.pool)
        .await
        .unwrap();
        api.server.get("/metrics").await.text()
    };
    let days = |days| format!(r#"tallybook_service_rollup_uncovered_days{{rollup="task_usage_daily"}} {days}"#);
    let text = cover("infinity").await;
    assert_lines(&text, &[&days(10), r#"tallybook_service_rollup_covered{rollup="task_usage_daily"} 0"#]);
    assert!(!text.contains("covered_from_timestamp_seconds{"));
    let text = cover("2026-03-08 00:00+00").await;
    assert_lines(
        &text,
        &[&days(7), r#"tallybook_service_rollup_covered_from_timestamp_seconds{rollup="task_usage_daily"} 1772928000"#],
    );
    assert_lines(&cover("2027-01-01 00:00+00").await, &[&days(10)]);
    assert_lines(&cover("2020-01-01 00:00+00").await, &[&days(0)]);
}

#[tokio::test]
async fn a_long_transaction_and_dead_rows_show() {
    let api = Api::start().await;
    api.world().await;
    let value = async |name: &str| -> f64 {
        let text = api.server.get("/metrics").await.text();
        let line = text.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap_or_else(|| panic!("{name}: {text}"));
        line.rsplit_once(' ').unwrap().1.parse().unwrap()
    };
    let mut analyst = api.database.connect().await;
    analyst.execute("begin isolation level repeatable read; select 1").await.unwrap();
    assert!(value("tallybook_service_oldest_transaction_seconds").await > 0.0);
    assert!(value(r#"tallybook_service_table_size_bytes{table="tallybook.usage_change"}"#).await > 0.0);
}

#[tokio::test]
async fn while_the_database_is_away_nothing_stale_is_shown() {
    let api = Api::start().await;
    api.database.pool.close().await;
    let text = api.server.get("/metrics").await.text();
    assert_lines(&text, &["tallybook_service_database_up 0", r#"tallybook_service_part_read{part="pending"} 0"#]);
    assert!(!text.contains("tallybook_service_pending_rows{"));
    assert!(text.contains("tallybook_ingest_reports_total{"), "what this process counts is there all the same");
}

#[tokio::test]
async fn nobody_waits_for_a_database_that_refuses() {
    let api = Api::start().await;
    let mut refused = app(&api.database, &api.clock);
    refused.pool = pool::lazy(testing::database().await.options().port(1), None, 2);
    refused.presence = crate::db::presence::Presence::of(&refused.pool);
    let limit = refused.limits.probe_timeout;
    let began = std::time::Instant::now();
    let text = TestServer::new(crate::http::router(refused)).get("/metrics").await.text();
    assert!(began.elapsed() < limit, "{:?}", began.elapsed());
    assert_lines(&text, &["tallybook_service_database_up 0", "tallybook_ingest_requests_total 0"]);
}

#[tokio::test]
async fn a_part_that_cannot_be_read_costs_only_itself() {
    let api = Api::start().await;
    let mut migration = api.database.connect().await;
    migration.execute("begin; lock table tallybook.drift").await.unwrap();
    let text = api.server.get("/metrics").await.text();
    assert_lines(
        &text,
        &[
            "tallybook_service_database_up 1",
            r#"tallybook_service_part_read{part="rollups"} 0"#,
            r#"tallybook_service_part_read{part="pending"} 1"#,
            r#"tallybook_service_part_read{part="storage"} 1"#,
        ],
    );
    assert!(!text.contains("tallybook_service_drifted_keys{"));
}

#[tokio::test]
async fn one_scrape_at_a_time_reads_the_database_and_none_waits_for_ever() {
    let api = Api::start().await;
    let patient = app(&api.database, &api.clock);
    let limits = Limits { probe_timeout: Duration::from_millis(200), ..patient.limits };
    let server = TestServer::new(crate::http::router(App { limits, ..patient.clone() }));
    let turn = std::sync::Arc::clone(&patient.scrape).lock_owned().await;
    let (one, other) = tokio::join!(async { server.get("/metrics").await }, async { server.get("/metrics").await });
    for text in [one.text(), other.text()] {
        assert_lines(&text, &["tallybook_service_database_up 0"]);
    }
    drop(turn);
    let server = TestServer::new(crate::http::router(patient));
    assert_lines(&server.get("/metrics").await.text(), &["tallybook_service_database_up 1"]);
}

const OPERATIONS: &str = include_str!("../../../../docs/OPERATIONS.md");
const DASHBOARD: &str = include_str!("../../../../deploy/grafana/tallybook.json");
const ALERTS: &str = include_str!("../../../../deploy/prometheus/alerts.yml");

/// A metric as it is told: type, unit, labels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Told {
    kind: String,
    unit: String,
    labels: BTreeSet<String>,
}

/// Every metric of `text`, by the name that queries use.
fn told(text: &str) -> BTreeMap<String, Told> {
    let mut metrics: BTreeMap<String, Told> = BTreeMap::new();
    for line in text.lines() {
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["#", "TYPE", name, kind] => {
                metrics.entry(name.to_owned()).or_default().kind = kind.to_owned();
            }
            ["#", "UNIT", name, unit] => metrics.entry(name.to_owned()).or_default().unit = unit.to_owned(),
            ["#", ..] => {}
            _ => {
                let (sample, rest) = line.split_once(['{', ' ']).unwrap();
                let of = metrics.keys().filter(|name| sample.starts_with(name.as_str())).max_by_key(|name| name.len()).cloned();
                let metric = metrics.get_mut(&of.unwrap()).unwrap();
                let labels = rest.split_once("} ").map_or("", |(labels, _)| labels);
                let names = labels.split("\",").filter_map(|label| label.split_once('=')).map(|(name, _)| name.to_owned());
                metric.labels.extend(names.filter(|name| name != "le"));
            }
        }
    }
    let suffix = |kind: &str| match kind {
        "counter" => "_total",
        "info" => "_info",
        _ => "",
    };
    metrics.into_iter().map(|(name, told)| (format!("{name}{}", suffix(&told.kind)), told)).collect()
}

/// What a service tells of which something of everything has happened.
async fn complete() -> BTreeMap<String, Told> {
    let api = Api::start().await;
    api.world().await;
    api.use_tokens("task", "2026-03-09T09:00:00Z", "opus", 1, None).await;
    crate::rollup::fold::drain(&api.database.pool).await.unwrap();
    api.database
        .pool
        .execute(
            "update tallybook.backfill_state set recent_rows = 1, recent_elapsed = '1 second';
             update tallybook.verify_state set checked_at = now(), checked_since = now() - interval '1 hour';
             update tallybook.rollup set reads_raw = true, covered_from = '2026-03-10 00:00+00' where name = 'task_usage_daily'",
        )
        .await
        .unwrap();
    told(&api.server.get("/metrics").await.text())
}

#[tokio::test]
async fn every_metric_is_documented_as_it_is() {
    let rows = OPERATIONS.lines().filter(|line| line.starts_with("| `tallybook_"));
    let documented = rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [name, kind, unit, labels, _source, meaning] = cells[..] else { panic!("{row}") };
        assert!(meaning.len() > 10, "{row}");
        let labels = labels.split(", ").filter(|label| !label.is_empty()).map(str::to_owned).collect();
        (name.trim_matches('`').to_owned(), Told { kind: kind.to_owned(), unit: unit.to_owned(), labels })
    });
    let documented: BTreeMap<String, Told> = documented.collect();
    let told = complete().await;
    for (name, metric) in &documented {
        assert_eq!(told.get(name), Some(metric), "{name} is documented");
    }
    let undocumented: Vec<&String> = told.keys().filter(|name| !documented.contains_key(*name)).collect();
    assert!(undocumented.is_empty(), "{undocumented:?}");
}

#[tokio::test]
async fn every_metric_of_the_dashboard_and_the_alerts_is_told() {
    let told = complete().await;
    for (what, text, least) in [("dashboard", DASHBOARD, 30), ("alerts", ALERTS, 15)] {
        let queries =
            text.lines().filter(|line| line.contains("expr\": ") || line.contains(" expr: ") || line.contains("label_values("));
        let words = queries.flat_map(|query| query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'));
        let named: BTreeSet<&str> = words.filter(|word| word.starts_with("tallybook_")).collect();
        for name in &named {
            let base = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name);
            let is_told = told.contains_key(*name) || told.get(base).is_some_and(|metric| metric.kind == "histogram");
            assert!(is_told, "the {what} ask for {name}, which nobody tells");
        }
        assert!(named.len() >= least, "{what}: {named:?}");
    }
}

#[test]
fn every_panel_of_the_dashboard_can_be_read_and_none_covers_another() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let rows: Vec<&str> = panels.iter().filter(|p| p["type"] == "row").map(|p| p["title"].as_str().unwrap()).collect();
    assert_eq!(rows, ["Overview", "Ingest", "Folding", "Exactness", "Database"]);
    let number = |panel: &Value, field: &str| panel["gridPos"][field].as_u64().unwrap();
    let (mut ids, mut cells) = (BTreeSet::new(), BTreeSet::new());
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        for x in number(panel, "x")..number(panel, "x") + number(panel, "w") {
            for y in number(panel, "y")..number(panel, "y") + number(panel, "h") {
                assert!(x < 24 && cells.insert((x, y)), "{} covers another", panel["title"]);
            }
        }
        if panel["type"] != "row" {
            let described = panel["description"].as_str().is_some_and(|text| text.ends_with('.'));
            assert!(described && panel["fieldConfig"]["defaults"]["unit"].is_string(), "{panel}");
            assert!(panel["targets"].as_array().is_some_and(|targets| !targets.is_empty()), "{panel}");
        }
    }
}
