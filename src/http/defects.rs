//! Defects that users of other systems have met at their APIs; the number is the defect's in our list. Those of one endpoint are
//! tested in its own file.
use crate::access::Scope;
use crate::http::testing::{Api, id, other_world, world};
use axum::http::Method;
use axum_test::TestResponse;
use serde_json::{Value, json};

/// Method and path of every endpoint that is about one thing, with `{id}` where its id goes.
async fn endpoints_of_one(api: &Api) -> Vec<(Method, String)> {
    let document: Value = api.server.get("/openapi.json").await.json();
    let mut endpoints = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap().iter().filter(|(path, _)| path.contains("{id}")) {
        for method in item.as_object().unwrap().keys() {
            endpoints.push((method.to_uppercase().parse().unwrap(), path.clone()));
        }
    }
    assert!(endpoints.len() >= 25, "{endpoints:?}");
    endpoints
}

/// `runtime` for `/v1/runtimes/{id}/usage`.
fn kind_of(path: &str) -> &str {
    path.split('/').nth(2).unwrap().trim_end_matches('s')
}

/// A body that `method` of `path` takes, about things of the world whose names begin with `prefix`.
fn body_for(method: &Method, path: &str, prefix: &str) -> Value {
    if path.ends_with("/reassign-tasks") {
        return json!({"to": id(&format!("{prefix}runtime"))});
    }
    let worlds = if prefix.is_empty() { world() } else { other_world() };
    let own = worlds.into_iter().find(|(own, _)| own.starts_with(&path[..path.find('{').unwrap()]));
    if method == Method::PUT { own.unwrap().1 } else { Value::Null }
}

async fn ask(api: &Api, token: &str, method: &Method, path: &str, body: &Value) -> TestResponse {
    let request = api.server.method(method.clone(), path).authorization_bearer(token);
    if body.is_null() { request.await } else { request.json(body).await }
}

#[tokio::test]
async fn a01_no_endpoint_tells_one_workspace_of_another() {
    let api = Api::start().await;
    api.world().await;
    api.other_world().await;
    api.use_tokens("other task", "2026-03-10T09:00:00Z", "secret model", 4_711_471_147, None).await;
    let token = api.token(Some(id("workspace")), &[Scope::Admin]).await;
    for (method, path) in endpoints_of_one(&api).await {
        let theirs = id(&format!("other {}", kind_of(&path)));
        for suffix in if method == Method::DELETE { vec!["", "?purge=true"] } else { vec![""] } {
            let at = |id: uuid::Uuid| format!("{}{suffix}", path.replace("{id}", &id.to_string()));
            let body = body_for(&method, &path, "other ");
            let answer = ask(&api, &token, &method, &at(theirs), &body).await;
            assert_eq!(answer.status_code(), 404, "{method} {path}");
            let text = answer.text();
            assert!(
                !text.contains("other ") && !text.contains("secret") && !text.contains("4711471147"),
                "{method} {path}: {text}"
            );
        }
    }
    for kind in ["workspaces", "runtimes", "agents", "projects", "issues", "tasks"] {
        let list = api.with(&token).get(&format!("/v1/{kind}?include_archived=true&limit=1000")).await.text();
        assert!(!list.contains("other"), "{kind}: {list}");
    }
    // All of theirs is as it was.
    for (path, body) in other_world() {
        let stands: Value = api.get(&path).await.json();
        for (field, value) in body.as_object().unwrap() {
            assert_eq!(&stands[field], value, "{path} {field}");
        }
        assert_eq!(stands["archived_at"], Value::Null, "{path}");
    }
}

#[tokio::test]
async fn a02_an_id_that_is_nobody_s_or_nobody_s_any_more_is_404_and_an_archived_one_keeps_its_usage() {
    let api = Api::start().await;
    api.world().await;
    api.other_world().await;
    let admin = api.token(None, &[Scope::Admin]).await;
    for task in ["task", "other task"] {
        api.use_tokens(task, "2026-03-10T09:00:00Z", "opus", 1_000, None).await;
    }
    api.delete(&format!("/v1/workspaces/{}?purge=true", id("other workspace"))).await.assert_status_no_content();
    for (path, _) in world() {
        api.delete(&path).await.assert_status_no_content();
    }
    for (method, path) in endpoints_of_one(&api).await.into_iter().filter(|(method, _)| method == Method::GET) {
        let kind = kind_of(&path);
        for dead in [id("never"), id(&format!("other {kind}"))] {
            let answer = ask(&api, &admin, &method, &path.replace("{id}", &dead.to_string()), &Value::Null).await;
            assert_eq!((answer.status_code().as_u16(), &answer.json::<Value>()["code"]), (404, &json!("not_found")), "{path}");
        }
        let archived = ask(&api, &admin, &method, &path.replace("{id}", &id(kind).to_string()), &Value::Null).await;
        archived.assert_status_ok();
        if path.contains("/usage") {
            assert_eq!(archived.json::<Value>()["total"]["input_tokens"], 1_000, "{path}");
        }
    }
    for kind in ["workspaces", "runtimes", "agents", "projects", "issues", "tasks"] {
        for dead in [id("never"), id("other workspace")] {
            let answer = api.get(&format!("/v1/{kind}?workspace_id={dead}")).await;
            answer.assert_status_not_found();
            assert_eq!(answer.json::<Value>()["field"], "workspace_id");
        }
    }
}

#[tokio::test]
async fn a03_a_malformed_id_is_400_with_the_field_s_name() {
    let api = Api::start().await;
    api.world().await;
    let admin = api.token(None, &[Scope::Admin]).await;
    let long = "a".repeat(5_000);
    for (method, path) in endpoints_of_one(&api).await {
        let body = body_for(&method, &path, "");
        for malformed in ["7", "null", "%00", "%ff%fe", "..%2f..", "00000000-0000-0000-0000-00000000000g", "%F0%9F%92%A9", &long]
        {
            let answer = ask(&api, &admin, &method, &path.replace("{id}", malformed), &body).await;
            let problem: Value = answer.json();
            let told = (answer.status_code().as_u16(), &problem["code"], &problem["field"]);
            assert_eq!(told, (400, &json!("invalid_field"), &json!("id")), "{method} {path} {malformed}");
        }
        // Each id in the body, too.
        for field in body.as_object().into_iter().flatten().map(|(field, _)| field).filter(|f| f.ends_with("_id") || *f == "to") {
            let mut body = body.clone();
            body[field] = json!("7");
            let own = path.replace("{id}", &id(kind_of(&path)).to_string());
            let answer = ask(&api, &admin, &method, &own, &body).await;
            assert_eq!(
                (answer.status_code().as_u16(), &answer.json::<Value>()["field"]),
                (400, &json!(field)),
                "{method} {path}"
            );
        }
    }
}

/// All that the process counts, but what is about requests and time.
async fn counters(api: &Api) -> Vec<String> {
    let text = api.server.get("/metrics").await.text();
    let counted = |line: &&str| line.contains("_total") && !line.starts_with('#') && !line.contains("_http_");
    text.lines().filter(counted).map(str::to_owned).collect()
}

#[tokio::test]
async fn c09_a_re_report_adds_to_no_counter_but_its_own() {
    let api = Api::start().await;
    api.world().await;
    let report = json!({"reports": [{
        "task_id": id("task"), "provider": "p", "model": "m", "input_tokens": 5, "output_tokens": 0, "cache_read_tokens": 0,
        "cache_write_tokens": 0
    }]});
    api.post("/v1/usage", &report).await.assert_status_ok();
    let first = counters(&api).await;
    let created = r#"tallybook_ingest_reports_total{outcome="created"} 1"#.to_owned();
    assert!(first.contains(&created), "{first:?}");
    for _ in 0..3 {
        api.post("/v1/usage", &report).await.assert_status_ok();
    }
    let again = counters(&api).await;
    let changed: Vec<&String> = again.iter().filter(|line| !first.contains(line)).collect();
    let expected = |line: &str| {
        line.starts_with(r#"tallybook_ingest_reports_total{outcome="unchanged"} 3"#)
            || line.starts_with("tallybook_ingest_requests_total 4")
            || line.starts_with("tallybook_ingest_commits_total 4")
    };
    assert!(changed.iter().all(|line| expected(line)), "{changed:?}");
    assert!(again.contains(&created), "{again:?}");
}

/// A table that is not ours may hold what ours refuses.
#[tokio::test]
async fn c11_null_counters_and_odd_times_fail_no_writer_and_no_reader() {
    let api = Api::start().await;
    api.world().await;
    sqlx::raw_sql(
        "alter table public.task_usage
           alter provider drop not null, alter model drop not null, alter created_at drop not null, alter input_tokens drop not null,
           alter output_tokens drop not null, alter cache_read_tokens drop not null, alter cache_write_tokens drop not null,
           alter cache_write_1h_tokens drop not null",
    )
    .execute(&api.database.pool)
    .await
    .unwrap();
    for at in ["'2026-03-10 09:00+00'", "null", "'infinity'", "'-infinity'", "'4000-01-01 BC'", "'294276-12-31 23:59:59+00'"] {
        let row = format!("($1, null, null, $2, null, 7, null, null, null, null, {at})");
        let insert = format!(
            "insert into public.task_usage (task_id, provider, model, event_key, input_tokens, output_tokens, cache_read_tokens,
               cache_write_tokens, cache_write_1h_tokens, cost_usd_ticks, created_at) values {row}"
        );
        let insert = sqlx::query(sqlx::AssertSqlSafe(insert)).bind(id("task")).bind(at);
        insert.execute(&api.database.pool).await.unwrap_or_else(|error| panic!("{at}: {error}"));
    }
    for folded in [false, true] {
        for (path, output) in [
            (format!("/v1/tasks/{}/usage", id("task")), 42),
            (format!("/v1/issues/{}/usage", id("issue")), 42),
            (format!("/v1/runtimes/{}/usage", id("runtime")), 7),
            (format!("/v1/runtimes/{}/usage/by-agent", id("runtime")), 7),
            (format!("/v1/runtimes/{}/usage/by-hour?tz=Asia/Kolkata", id("runtime")), 7),
            (format!("/v1/workspaces/{}/usage", id("workspace")), 7),
        ] {
            let answer = api.get(&path).await;
            answer.assert_status_ok();
            let total = answer.json::<Value>()["total"].clone();
            assert_eq!((&total["output_tokens"], &total["input_tokens"]), (&json!(output), &json!(0)), "{path} folded: {folded}");
        }
        crate::rollup::fold::drain(&api.database.pool).await.unwrap();
    }
    let report = crate::rollup::verify::verify(&api.database.pool).await.unwrap();
    assert!(report.exact(), "{report:?}");
}

#[tokio::test]
async fn r19_days_are_as_many_as_asked_for_five_minutes_after_midnight_and_just_before_it() {
    let api = Api::start().await;
    api.world().await;
    for day in 1..=31 {
        api.use_tokens("task", &format!("2026-03-{day:02}T00:00:00Z"), "opus", 10, None).await;
        api.use_tokens("task", &format!("2026-03-{day:02}T23:59:59.999999Z"), "opus", 90, None).await;
    }
    for now in ["2026-03-31T00:05:00Z", "2026-03-31T23:59:59.9Z"] {
        let now: jiff::Timestamp = now.parse().unwrap();
        api.clock.advance(now.duration_since(api.clock.now()));
        for days in [1_usize, 2, 7, 30] {
            for path in ["usage", "usage/by-agent", "usage/by-hour"] {
                let path = format!("/v1/runtimes/{}/{path}?days={days}", id("runtime"));
                let usage: Value = api.get(&path).await.json();
                assert_eq!(usage["total"]["input_tokens"], days * 100, "{path} at {now}");
            }
            let usage: Value = api.get(&format!("/v1/runtimes/{}/usage?days={days}", id("runtime"))).await.json();
            assert_eq!(usage["items"].as_array().unwrap().len(), days, "one item a day at {now}");
        }
    }
}

#[tokio::test]
async fn r26_a_failing_tick_is_counted_recorded_and_leaves_the_lag_of_the_data() {
    let api = Api::start().await;
    api.world().await;
    let app = super::testing::app(&api.database, &api.clock);
    crate::rollup::fold::drain(&api.database.pool).await.unwrap();
    api.use_tokens("task", "2026-03-10T09:00:00Z", "opus", 1, None).await;
    sqlx::query("alter table public.agent disable trigger tallybook_update").execute(&api.database.pool).await.unwrap();
    let stop = tokio_util::sync::CancellationToken::new();
    let until_failed = async {
        while app.metrics.fold.errors.get() == 0 {
            tokio::task::yield_now().await;
        }
        stop.cancel();
    };
    let metrics = std::sync::Arc::clone(&app.metrics);
    tokio::join!(crate::rollup::worker::run(app.pool.clone(), stop.clone(), metrics, true), until_failed);
    let text = axum_test::TestServer::new(super::router(app)).get("/metrics").await.text();
    let value = |name: &str| -> f64 {
        let line = text.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap_or_else(|| panic!("{name}: {text}"));
        line.rsplit_once(' ').unwrap().1.parse().unwrap()
    };
    assert!(value("tallybook_fold_errors_total") >= 1.0 && value("tallybook_service_capture_faults") >= 1.0);
    assert!(value("tallybook_service_lag_seconds") > 0.0, "what waits grows older, whenever a tick ran");
    let recorded: String = sqlx::query_scalar("select last_error from tallybook.task_usage_rollup_state")
        .fetch_one(&api.database.pool)
        .await
        .unwrap();
    assert!(!recorded.is_empty());
    let ready = api.server.get("/readyz").await;
    ready.assert_status_ok();
    assert_eq!(ready.json::<Value>()["status"], "degraded", "raw answers");
}

/// Tasks of two agents on two runtimes and on none, of two issues and none, reported over many days.
async fn reported(api: &Api) -> Vec<uuid::Uuid> {
    let place = |kind: &str, n: u32| if n.is_multiple_of(3) { Value::Null } else { json!({kind: format!("{kind} {}", n % 3)}) };
    let mut tasks = Vec::new();
    for n in 0..24_u32 {
        let task = id(&format!("task {n}"));
        tasks.push(task);
        let reports: Vec<Value> = (0..6_u32)
            .map(|event| {
                json!({
                    "task_id": task, "provider": if event % 2 == 0 { "Anthropic" } else { "openai" },
                    "model": format!("m{}", event % 3), "event_key": event.to_string(),
                    "input_tokens": 1_000 * n + event, "output_tokens": n, "cache_read_tokens": event, "cache_write_tokens": 1,
                    "cache_write_1h_tokens": 2, "cost_usd": if event < 3 { json!(format!("0.{n}{event}1")) } else { Value::Null },
                    "occurred_at": format!("2026-03-{:02}T{:02}:{:02}:00Z", 1 + (n + event) % 10, (n * 7 + event) % 12, (event * 13) % 60),
                    "task": {"workspace_id": id("workspace"), "agent": {"name": format!("agent {}", n % 2)},
                        "runtime": place("name", n), "issue": place("title", n / 2)}
                })
            })
            .collect();
        api.post("/v1/usage", &json!({"reports": reports})).await.assert_status_ok();
    }
    tasks
}

/// Adds up one measure of the totals of many answers.
async fn sum(api: &Api, paths: &[String], measure: &str) -> i128 {
    let mut sum = 0;
    for path in paths {
        let answer: Value = api.get(path).await.json();
        sum += answer["total"][measure].as_i64().map_or_else(|| panic!("{path} {measure}: {answer}"), i128::from);
    }
    sum
}

#[tokio::test]
async fn r30_every_way_of_asking_adds_up_to_the_same_token() {
    let api = Api::start().await;
    api.world().await;
    let tasks = reported(&api).await;
    let ids = async |kind: &str| -> Vec<String> {
        let list: Value = api.get(&format!("/v1/{kind}")).await.json();
        list["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
    };
    let (runtimes, issues) = (ids("runtimes").await, ids("issues").await);
    for folded in [false, true] {
        let workspace = format!("/v1/workspaces/{}/usage", id("workspace"));
        let whole: Value = api.get(&workspace).await.json();
        let unattributed = |measure: &str| -> i128 {
            let items = whole["items"].as_array().unwrap().iter().filter(|item| item["unattributed"] == true);
            items.map(|item| i128::from(item[measure].as_i64().unwrap())).sum()
        };
        for measure in
            ["input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens", "event_count"]
        {
            let total = sum(&api, std::slice::from_ref(&workspace), measure).await;
            let by_task: Vec<String> = tasks.iter().map(|task| format!("/v1/tasks/{task}/usage")).collect();
            assert_eq!(sum(&api, &by_task, measure).await, total, "tasks {measure} {folded}");
            for end in ["", "/by-agent", "/by-hour", "/by-hour?tz=Asia/Kathmandu"] {
                let by_runtime: Vec<String> = runtimes.iter().map(|id| format!("/v1/runtimes/{id}/usage{end}")).collect();
                assert_eq!(sum(&api, &by_runtime, measure).await + unattributed(measure), total, "{end} {measure} {folded}");
            }
            let by_issue: Vec<String> = issues.iter().map(|id| format!("/v1/issues/{id}/usage")).collect();
            let without_issue: Vec<String> = tasks
                .iter()
                .enumerate()
                .filter(|(n, _)| (n / 2) % 3 == 0)
                .map(|(_, task)| format!("/v1/tasks/{task}/usage"))
                .collect();
            let sum_of_issues = sum(&api, &by_issue, measure).await + sum(&api, &without_issue, measure).await;
            assert_eq!(sum_of_issues, total, "issues {measure} {folded}");
        }
        crate::rollup::fold::drain(&api.database.pool).await.unwrap();
    }
}

#[tokio::test]
async fn m07_the_service_s_clock_decides_nothing_that_is_folded_or_waited_for() {
    // it stands still, far from the database's
    let api = Api::start().await;
    api.world().await;
    for model in ["opus", "haiku"] {
        api.use_tokens("task", "2026-03-10T09:00:00Z", model, 10, None).await;
        let is_recent: bool = sqlx::query_scalar(
            "select abs(extract(epoch from clock_timestamp() - watermark_at)) < 3600 from tallybook.task_usage_rollup_state",
        )
        .fetch_one(&api.database.pool)
        .await
        .unwrap();
        assert!(is_recent);
        crate::rollup::fold::drain(&api.database.pool).await.unwrap();
        let pending: bool = sqlx::query_scalar("select tallybook.is_pending()").fetch_one(&api.database.pool).await.unwrap();
        assert!(!pending && crate::rollup::verify::verify(&api.database.pool).await.unwrap().exact());
    }
}
