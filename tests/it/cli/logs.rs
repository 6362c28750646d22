//! What a service logs: one line a request, for people or as JSON, and nothing that is secret.
use super::on;
use super::serve::Serving;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use sqlx::Executor;
use tallybook::testing;

/// What nobody may find in a log.
const BODY_SECRET: &str = "a-customer-of-ours";

/// Lets a service answer a read, a report, a refusal and a lost request; gives its token and what it logged.
async fn logged(arguments: &str) -> (String, String) {
    let database = testing::database().await;
    database.pool.execute(include_str!("../../../src/testing/one_task.sql")).await.unwrap();
    let made = on(&database, "token create --name ci --scope ingest --scope read --workspace one").output().unwrap();
    let token = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    let serving = Serving::start(&mut on(&database, &format!("serve --listen 127.0.0.1:0 {arguments}")));
    let url = |path: &str| format!("http://{}{path}", serving.address);
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let bearer = format!("Bearer {token}");
    let get = |path: &str, id: &str| {
        let request = agent.get(url(path)).header("authorization", &bearer).header("x-request-id", id);
        request.call().unwrap().status().as_u16()
    };
    assert_eq!(get("/v1/tasks/00000000-0000-4000-8000-000000000004/usage", "the-read"), 200);
    assert_eq!(get(&format!("/v1/nothing/{BODY_SECRET}?q={BODY_SECRET}"), "the-lost"), 404);
    for (model, status) in [(json!(BODY_SECRET), 200), (json!([BODY_SECRET]), 422)] {
        let body = json!({ "reports": [{
            "task_id": "00000000-0000-4000-8000-000000000004", "provider": "openai", "model": model, "event_key": BODY_SECRET,
            "input_tokens": 1, "output_tokens": 0, "cache_read_tokens": 0, "cache_write_tokens": 0,
        }] });
        let sent = agent.post(url("/v1/usage")).header("authorization", &bearer).send_json(body).unwrap();
        assert_eq!(sent.status().as_u16(), status);
    }
    let (status, log) = serving.stop(Signal::SIGTERM);
    assert!(status.success(), "{log}");
    (token, log)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_request_is_one_line_of_json_with_what_it_cost() {
    let (_, log) = logged("--log-format json").await;
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect();
    let of = |id: &str| {
        let found: Vec<&Value> = lines.iter().filter(|line| line["span"]["request.id"] == id).collect();
        assert_eq!(found.len(), 1, "{log}");
        found[0].clone()
    };
    let read = of("the-read");
    assert_eq!(
        (&read["message"], &read["http.method"], &read["http.route"], &read["http.status"], &read["level"]),
        (
            &json!("GET /v1/tasks/{id}/usage answered 200"),
            &json!("GET"),
            &json!("/v1/tasks/{id}/usage"),
            &json!(200),
            &json!("INFO")
        )
    );
    assert!(read["timestamp"].is_string() && read["duration_us"].as_u64().unwrap() > 0, "{read}");
    // The token is looked up; then a snapshot: what it is of, and the usage.
    assert!(read["db.queries"].as_u64().unwrap() >= 3 && read["db.rows"].as_u64().unwrap() >= 3, "{read}");
    assert!(read["db.duration_us"].as_u64().unwrap() <= read["duration_us"].as_u64().unwrap(), "{read}");
    let lost = of("the-lost");
    assert_eq!((&lost["http.route"], &lost["http.status"], &lost["db.queries"]), (&json!("unknown"), &json!(404), &json!(0)));
    let reports = lines.iter().filter(|line| line["http.route"] == "/v1/usage");
    assert_eq!(reports.map(|line| &line["http.status"]).collect::<Vec<_>>(), [&json!(200), &json!(422)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn however_much_is_logged_no_token_and_nothing_of_a_body_is() {
    for format in ["text", "json"] {
        let (token, log) = logged(&format!("--log-level trace --log-format {format}")).await;
        assert!(log.contains("GET /v1/tasks/{id}/usage answered 200"), "{log}");
        for secret in [&token, BODY_SECRET] {
            let told = log.lines().find(|line| line.contains(secret));
            assert!(told.is_none(), "{told:?}");
        }
    }
}
