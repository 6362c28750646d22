//! Entities of a database whose tables somebody else has made: `src/testing/host.sql`.
use crate::http::testing::Api;
use axum_test::TestResponse;
use serde_json::{Value, json};
use sqlx::Executor;

const WORKSPACE: &str = "00000000-0000-4000-8000-000000000001";
const RUNTIME: &str = "00000000-0000-4000-8000-000000000002";
const AGENT: &str = "00000000-0000-4000-8000-000000000003";
const TASK: &str = "00000000-0000-4000-8000-000000000004";
const PROJECT: &str = "00000000-0000-4000-8000-000000000005";
const ISSUE: &str = "00000000-0000-4000-8000-000000000006";
const NEW: &str = "00000000-0000-4000-8000-0000000000ff";

/// One of each kind, by its path.
const ALL: [(&str, &str); 6] = [
    ("workspaces", WORKSPACE),
    ("runtimes", RUNTIME),
    ("agents", AGENT),
    ("projects", PROJECT),
    ("issues", ISSUE),
    ("tasks", TASK),
];

fn conflict(response: &TestResponse, code: &str) -> Value {
    let problem: Value = response.json();
    assert_eq!((response.status_code().as_u16(), &problem["code"]), (409, &json!(code)), "{problem}");
    problem
}

#[tokio::test]
async fn all_that_is_there_is_shown() {
    let api = Api::adopted().await;
    for (kind, id) in ALL {
        let one: Value = api.get(&format!("/v1/{kind}/{id}")).await.json();
        assert_eq!((&one["id"], &one["labels"], &one["archived_at"]), (&json!(id), &json!({}), &json!(null)), "{one}");
        assert_eq!(one["created_at"].is_null(), kind == "projects", "{one}");
        let many: Value = api.get(&format!("/v1/{kind}?workspace_id={WORKSPACE}")).await.json();
        assert_eq!(many["items"], json!([one]));
    }
    let workspace: Value = api.get(&format!("/v1/workspaces/{WORKSPACE}")).await.json();
    assert_eq!((&workspace["name"], &workspace["slug"]), (&json!("one"), &json!(WORKSPACE)), "without slugs its id is one");
    let issue: Value = api.get(&format!("/v1/issues/{ISSUE}")).await.json();
    assert_eq!(issue["title"], ISSUE, "a title that is null is no title");
    let runtime: Value = api.get(&format!("/v1/runtimes/{RUNTIME}")).await.json();
    assert_eq!(runtime["provider"], "Anthropic");
}

#[tokio::test]
async fn usage_is_read_from_rollups_and_from_raw_alike() {
    let api = Api::adopted().await;
    api.clock.advance(jiff::SignedDuration::from_hours(-24 * 60));
    let raw = api.reading_raw();
    for folded in [false, true] {
        if folded {
            crate::rollup::fold::drain(&api.database.pool).await.unwrap();
        }
        for (kind, id, tail) in [
            ("runtimes", RUNTIME, ""),
            ("runtimes", RUNTIME, "/by-agent"),
            ("runtimes", RUNTIME, "/by-hour"),
            ("workspaces", WORKSPACE, ""),
            ("issues", ISSUE, ""),
            ("tasks", TASK, ""),
        ] {
            let path = format!("/v1/{kind}/{id}/usage{tail}");
            let rolled: Value = api.get(&path).await.json();
            let summed: Value = raw.get(&path).authorization_bearer(&api.admin).await.json();
            assert_eq!(rolled["total"]["input_tokens"], 10, "{path}: {rolled}");
            assert_eq!((&rolled["items"], &rolled["total"]), (&summed["items"], &summed["total"]), "{path}");
        }
    }
}

#[tokio::test]
async fn labels_and_archive_marks_stand_beside_the_host_s_rows() {
    let api = Api::adopted().await;
    let path = format!("/v1/agents/{AGENT}");
    let body = json!({"workspace_id": WORKSPACE, "name": "renamed", "runtime_id": RUNTIME, "labels": {"team": "search"}});
    let put: Value = api.put(&path, &body).await.json();
    assert_eq!((&put["name"], &put["labels"]), (&json!("renamed"), &json!({"team": "search"})));
    assert_eq!(api.get(&path).await.json::<Value>(), put);
    for (kind, id) in ALL {
        let path = format!("/v1/{kind}/{id}");
        api.delete(&path).await.assert_status_no_content();
        api.clock.advance(jiff::SignedDuration::from_hours(1));
        api.delete(&path).await.assert_status_no_content();
        let listed =
            async |query: &str| api.get(&format!("/v1/{kind}{query}")).await.json::<Value>()["items"].as_array().unwrap().len();
        assert_eq!((listed("").await, listed("?include_archived=true").await), (0, 1), "{kind}");
    }
    let archived: Value = api.get(&path).await.json();
    assert_eq!((&archived["archived_at"], &archived["labels"]), (&json!("2026-03-10T14:00:00Z"), &json!({"team": "search"})));
    let back: Value = api.put(&path, &body).await.json();
    assert_eq!(back, put, "putting it again brings it back");
    let report: Value = api.get(&format!("/v1/runtimes/{RUNTIME}/usage/by-agent?days=90")).await.json();
    assert_eq!(report["items"][0]["agent_labels"], json!({"team": "search"}));
}

#[tokio::test]
async fn what_fits_is_made_and_what_does_not_says_why() {
    let api = Api::adopted().await;
    let made = async |kind: &str, body: Value| api.put(&format!("/v1/{kind}/{NEW}"), &body).await;
    let runtime = json!({"workspace_id": WORKSPACE, "name": "second", "provider": "openai"});
    made("runtimes", runtime).await.assert_status(axum::http::StatusCode::CREATED);
    let task = json!({"agent_id": AGENT, "runtime_id": RUNTIME, "status": "completed", "completed_at": "2026-03-10T11:00:00Z"});
    let task: Value = made("tasks", task).await.json();
    assert_eq!((&task["status"], &task["completed_at"]), (&json!("completed"), &json!("2026-03-10T11:00:00Z")));
    assert_eq!(task["created_at"], "2026-03-10T12:00:00Z");
    made("workspaces", json!({"name": "two"})).await.assert_status(axum::http::StatusCode::CREATED);

    let slug = made("workspaces", json!({"name": "two", "slug": "two"})).await;
    assert_eq!(conflict(&slug, "column_missing")["field"], "slug");
    let failed = json!({"agent_id": AGENT, "runtime_id": RUNTIME, "status": "failed", "failure_reason": "it broke"});
    assert_eq!(conflict(&made("tasks", failed).await, "column_missing")["field"], "failure_reason");
    let issue = made("issues", json!({"workspace_id": WORKSPACE, "title": "no number"})).await;
    assert!(conflict(&issue, "not_writable")["detail"].as_str().unwrap().contains("(number:"));
    let homeless = made("agents", json!({"workspace_id": WORKSPACE, "name": "nowhere"})).await;
    assert!(conflict(&homeless, "refused_by_source")["detail"].as_str().unwrap().contains("runtime_id"));
}

#[tokio::test]
async fn a_purge_goes_as_far_as_the_foreign_keys() {
    let api = Api::adopted().await;
    let pool = &api.database.pool;
    pool.execute(
        "create table public.comment (issue_id uuid references public.issue);
         insert into public.comment select id from public.issue",
    )
    .await
    .unwrap();
    let held = conflict(&api.delete(&format!("/v1/issues/{ISSUE}?purge=true")).await, "still_referenced");
    assert!(held["detail"].as_str().unwrap().contains("comment"), "{held}");
    pool.execute("delete from public.comment").await.unwrap();
    pool.execute("alter table public.task_usage drop constraint task_usage_task_id_fkey").await.unwrap();
    pool.forget_source();
    let left = conflict(&api.delete(&format!("/v1/tasks/{TASK}?purge=true")).await, "still_referenced");
    assert!(left["detail"].as_str().unwrap().contains("public.task_usage.task_id"), "{left}");
    pool.execute("alter table public.task_usage add foreign key (task_id) references public.agent_task_queue on delete cascade")
        .await
        .unwrap();
    pool.forget_source();
    api.put(&format!("/v1/runtimes/{RUNTIME}"), &json!({"workspace_id": WORKSPACE, "name": "r", "labels": {"a": "b"}}))
        .await
        .assert_status_ok();
    api.delete(&format!("/v1/runtimes/{RUNTIME}?purge=true")).await.assert_status_no_content();
    api.get(&format!("/v1/tasks/{TASK}")).await.assert_status_not_found();
    let total: Value = api.get(&format!("/v1/workspaces/{WORKSPACE}/usage?days=3660")).await.json();
    assert_eq!(total["total"]["event_count"], 0);
    let marks: i64 = sqlx::query_scalar("select count(*) from tallybook.entity_mark").fetch_one(pool).await.unwrap();
    assert_eq!(marks, 0);
}

#[tokio::test]
async fn tasks_are_reassigned_as_far_as_the_host_allows() {
    let api = Api::adopted().await;
    let second = json!({"workspace_id": WORKSPACE, "name": "second", "provider": "openai"});
    api.put(&format!("/v1/runtimes/{NEW}"), &second).await.assert_status(axum::http::StatusCode::CREATED);
    let reassign = async || api.post(&format!("/v1/runtimes/{RUNTIME}/reassign-tasks"), &json!({"to": NEW})).await;
    let veto = "create function veto() returns trigger language plpgsql as $$ begin raise exception 'tasks stay'; end $$;
        create trigger veto before update on public.agent_task_queue for each row execute function veto()";
    api.database.pool.execute(veto).await.unwrap();
    let problem = conflict(&reassign().await, "refused_by_source");
    assert_eq!(problem["detail"], "the database does not allow it: tasks stay");
    let allow = "drop trigger veto on public.agent_task_queue; alter table public.agent rename workspace_id to tenant";
    api.database.pool.execute(allow).await.unwrap();
    api.database.pool.execute("select tallybook.follow_sources()").await.unwrap();
    // The first one may still go by the old names, and finds that out.
    reassign().await;
    let problem = conflict(&reassign().await, "column_missing");
    assert_eq!(problem["field"], "workspace_id");
    api.database.pool.execute("alter table public.agent rename tenant to workspace_id").await.unwrap();
    api.database.pool.execute("select tallybook.follow_sources()").await.unwrap();
    api.database.pool.forget_source();
    let moved: Value = reassign().await.json();
    assert_eq!(moved["tasks"], 1, "{moved}");
}

#[tokio::test]
async fn reports_say_in_the_answer_what_the_tables_do_not_take() {
    let api = Api::adopted().await;
    let report = |more: Value| {
        let mut report = json!({"task_id": TASK, "provider": "anthropic", "model": "sonnet", "input_tokens": 5, "output_tokens": 1,
            "cache_read_tokens": 0, "cache_write_tokens": 0});
        report.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        report
    };
    let fine = json!({"reports": [report(json!({}))]});
    assert_eq!(api.post("/v1/usage", &fine).await.json::<Value>()["created"], 1);
    let keyed = json!({"reports": [report(json!({"model": "haiku"})), report(json!({"event_key": "req-1"}))]});
    let problem = conflict(&api.post("/v1/usage", &keyed).await, "column_missing");
    assert_eq!((&problem["index"], &problem["field"]), (&json!(1), &json!("reports[1].event_key")), "{problem}");
    let large = json!({"reports": [report(json!({"input_tokens": 3_000_000_000_i64}))]});
    conflict(&api.post("/v1/usage", &large).await, "refused_by_source");
    let unlike = json!({"reports": [report(json!({"event_key": "req-1"})), report(json!({"task_id": NEW}))]});
    let mixed = api.post("/v1/usage", &unlike).await;
    assert_eq!((mixed.status_code().as_u16(), &mixed.json::<Value>()["code"]), (422, &json!("invalid_reports")));
}
