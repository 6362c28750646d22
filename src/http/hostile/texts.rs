//! Texts that would be SQL, steer terminals, hide or overflow: through every field that takes text, they are kept to the letter
//! or refused by the field's name, and nothing else changes.
use super::requests::percent;
use super::{Answer, Bench, for_all};
use crate::http::testing::{id, world};
use axum::body::Body;
use axum::http::Request;
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use serde_json::{Value, json};

/// Fields of the entities' bodies that take text, by kind.
const FIELDS: [(&str, &str); 9] = [
    ("workspace", "name"),
    ("workspace", "slug"),
    ("runtime", "name"),
    ("runtime", "provider"),
    ("agent", "name"),
    ("project", "title"),
    ("issue", "title"),
    ("task", "failure_reason"),
    ("task", "status"),
];

const MEAN: [&str; 16] = [
    "'; drop table public.task_usage; --",
    "\"; delete from public.agent; --",
    "x' or '1'='1",
    "\\'; select pg_sleep(10); --",
    "$1",
    "$$; drop schema tallybook cascade; $$",
    "%s %1$I {} {0} ${jndi:ldap://x}",
    "a\u{0}b",
    "\u{202e}gpj.exe\u{202c}",
    "\u{200f}\u{200e}\u{2066}x\u{2069}",
    "\u{feff}x",
    "\u{fffe}\u{ffff}\u{10ffff}",
    "Z\u{334}\u{322}a\u{335}",
    "\u{1b}[2J",
    "ﷺ🏳\u{200d}🌈",
    "<script>alert(1)</script>",
];

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(MEAN.to_vec()).prop_map(str::to_owned),
        4 => any::<String>(),
        1 => (any::<char>(), 190_usize..210).prop_map(|(c, n)| c.to_string().repeat(n)),
    ]
}

async fn call(bench: &Bench, method: &str, path: &str, body: &Value) -> Answer {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {}", bench.admin))
        .body(Body::from(if body.is_null() { String::new() } else { body.to_string() }));
    bench.send(request.unwrap()).await
}

/// How much of everything there is: injected SQL would change it, a refused text must not.
async fn census(bench: &Bench) -> String {
    sqlx::query_scalar(
        "select concat_ws(' ', (select count(*) from pg_class), (select count(*) from public.workspace), (select count(*) from public.agent),
           (select count(*) from public.agent_runtime), (select count(*) from public.project), (select count(*) from public.issue),
           (select count(*) from public.agent_task_queue), (select count(*) from tallybook.access_token))",
    )
    .fetch_one(&bench.app.pool)
    .await
    .unwrap()
}

fn kept(field: &str, text: &str) -> String {
    let trimmed = if field == "event_key" { text } else { text.trim() };
    if field == "provider" { trimmed.to_ascii_lowercase() } else { trimmed.to_owned() }
}

#[test]
fn every_text_field_of_an_entity_keeps_a_text_or_refuses_it() {
    for_all(&(prop::sample::select(FIELDS.to_vec()), text()), async |bench: &Bench, ((kind, field), text)| {
        let (path, mut body) = world().into_iter().find(|(path, _)| path.contains(&format!("/{kind}s/"))).unwrap();
        body[field] = json!(text);
        let before = census(bench).await;
        let answer = call(bench, "PUT", &path, &body).await;
        answer.check()?;
        prop_assert_eq!(census(bench).await, before);
        let told = answer.json().unwrap_or_default();
        if answer.status.is_success() {
            let shown = call(bench, "GET", &path, &Value::Null).await.json().unwrap_or_default();
            prop_assert_eq!(&shown[field], &json!(kept(field, &text)));
        } else {
            prop_assert_eq!(&told["field"], field, "{}", told);
        }
        Ok(())
    });
}

#[test]
fn labels_keep_any_name_and_value_or_refuse_it() {
    for_all(&(prop_oneof![text(), "[a-z._/-]{0,70}"], text()), async |bench: &Bench, (name, value)| {
        let path = format!("/v1/projects/{}", id("project"));
        let body = json!({"workspace_id": id("workspace"), "title": "project", "labels": {name.as_str(): value}});
        let answer = call(bench, "PUT", &path, &body).await;
        answer.check()?;
        if answer.status.is_success() {
            let shown = call(bench, "GET", &path, &Value::Null).await.json().unwrap_or_default();
            prop_assert_eq!(&shown["labels"], &body["labels"]);
        } else {
            let told = answer.json().unwrap_or_default();
            prop_assert!(told["field"].as_str().is_some_and(|field| field.starts_with("labels")), "{}", told);
        }
        Ok(())
    });
}

/// Text fields of a report; what is named is made.
const REPORTED: [&str; 6] = ["provider", "model", "event_key", "agent", "runtime", "issue"];

#[test]
fn every_text_field_of_a_report_keeps_a_text_or_refuses_it() {
    for_all(&(prop::sample::select(REPORTED.to_vec()), text(), any::<u128>()), async |bench: &Bench, (field, text, task)| {
        let mut report = json!({
            "task_id": uuid::Uuid::from_u128(task), "provider": "p", "model": "m", "input_tokens": 1, "output_tokens": 1,
            "cache_read_tokens": 0, "cache_write_tokens": 0,
            "task": {"workspace_id": id("workspace"), "agent": {"name": "ada"}, "runtime": {"name": "box"}, "issue": {"title": "t"}}
        });
        let word = if field == "issue" { "title" } else { "name" };
        match field {
            "agent" | "runtime" | "issue" => report["task"][field] = json!({word: text}),
            _ => report[field] = json!(text),
        }
        let answer = call(bench, "POST", "/v1/usage", &json!({"reports": [report]})).await;
        answer.check()?;
        check_report(bench, field, &text, task, &answer).await
    });
}

async fn check_report(bench: &Bench, field: &str, text: &str, task: u128, answer: &Answer) -> TestCaseResult {
    let stored: Option<Value> = sqlx::query_scalar(
        "select jsonb_build_object('provider', u.provider, 'model', u.model, 'event_key', u.event_key, 'agent', a.name, 'runtime', r.name,
           'issue', i.title)
         from public.task_usage u
         join public.agent_task_queue t on t.id = u.task_id
         join public.agent a on a.id = t.agent_id
         join public.agent_runtime r on r.id = t.runtime_id
         join public.issue i on i.id = t.issue_id
         where u.task_id = $1",
    )
    .bind(uuid::Uuid::from_u128(task))
    .fetch_optional(&bench.app.pool)
    .await
    .unwrap();
    prop_assert_eq!(stored.is_some(), answer.status.is_success());
    if let Some(stored) = stored {
        prop_assert_eq!(&stored[field], &json!(kept(field, text)));
    } else {
        let told = answer.json().unwrap_or_default();
        prop_assert!(told["field"].as_str().is_some_and(|path| path.contains(field)), "{}", told);
    }
    Ok(())
}

#[test]
fn every_parameter_takes_any_text() {
    let names = vec!["days", "tz", "limit", "after", "include_archived", "workspace_id", "purge", "x"];
    for_all(&(prop::sample::select(names), text()), async |bench: &Bench, (name, text)| {
        let value = percent(text.as_bytes());
        for path in ["/v1/agents".to_owned(), format!("/v1/runtimes/{}/usage/by-hour", id("runtime"))] {
            call(bench, "GET", &format!("{path}?{name}={value}"), &Value::Null).await.check()?;
        }
        Ok(())
    });
}

#[tokio::test]
async fn a_name_of_a_megabyte_is_refused_by_its_field_in_few_words() {
    let bench = Bench::new().await;
    let name = "n".repeat(1024 * 1024);
    for (kind, field) in FIELDS {
        let (path, mut body) = world().into_iter().find(|(path, _)| path.contains(&format!("/{kind}s/"))).unwrap();
        body[field] = json!(name);
        let answer = call(&bench, "PUT", &path, &body).await;
        assert_eq!(answer.json().unwrap()["field"], field);
        assert!(answer.body.len() < 1_000, "{field}: the answer has {} bytes", answer.body.len());
    }
    let (path, mut body) = world().into_iter().next().unwrap();
    body["labels"] = json!({name.as_str(): "x"});
    let answer = call(&bench, "PUT", &path, &body).await;
    assert!(answer.status == 400 && answer.body.len() < 1_000, "{} bytes", answer.body.len());
    body[name.as_str()] = json!("x");
    let answer = call(&bench, "PUT", &path, &body).await;
    assert!(answer.status == 400 && answer.body.len() < 1_000, "{} bytes", answer.body.len());
    let answer = call(&bench, "GET", &format!("/v1/agents/{}", "x".repeat(60_000)), &Value::Null).await;
    assert!(answer.status == 400 && answer.body.len() < 1_000, "{} bytes", answer.body.len());
    let answer = call(&bench, "GET", &format!("/v1/agents?{0}={0}", "x".repeat(30_000)), &Value::Null).await;
    assert!(answer.status == 400 && answer.body.len() < 1_000, "{} bytes", answer.body.len());
}
