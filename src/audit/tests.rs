//! Each kind leaves its entry, together with what it tells of or not at all, and no entry changes.
use super::*;
use crate::access::{self, New, Scope};
use crate::clock::Clock;
use crate::db::migrate;
use crate::rollup::repair;
use crate::testing::{self, TestDatabase};
use serde_json::json;
use sqlx::{AssertSqlSafe, Executor};

/// All entries of an action, newest first.
async fn entries(db: &TestDatabase, action: &str) -> Vec<Entry> {
    let page = Page { action: Some(action.parse().unwrap()), limit: 1_000, ..Page::default() };
    list(&db.pool, &page).await.unwrap()
}

fn new() -> New {
    New { name: "ci".into(), workspace: None, scopes: vec![Scope::Read], expires_at: None }
}

#[tokio::test]
async fn tokens_are_told_of_without_being_told() {
    let db = testing::database().await;
    let clock = Clock::system();
    let (secret, record) = access::create(&db.pool, &clock, &Actor::cli(), new()).await.unwrap();
    let [made] = entries(&db, "token.create").await.try_into().unwrap();
    let role: String = sqlx::query_scalar("select session_user::text").fetch_one(&db.pool).await.unwrap();
    assert_eq!((made.via.as_str(), &made.role, made.target), ("cli", &role, format!("token {}", record.id)));
    assert_eq!(made.details, json!({"name": "ci", "scopes": ["read"], "expires_at": null}));
    for _ in 0..2 {
        access::revoke(&db.pool, &clock, &Actor::http(record.id, Some("r-1".into())), record.id).await.unwrap().unwrap();
    }
    let [revoked] = entries(&db, "token.revoke").await.try_into().unwrap();
    assert_eq!(
        (revoked.via.as_str(), revoked.token_name.as_deref(), revoked.request_id.as_deref()),
        ("http", Some("ci"), Some("r-1"))
    );
    let all: String =
        sqlx::query_scalar("select string_agg(a::text, ' ') from tallybook.audit_log a").fetch_one(&db.pool).await.unwrap();
    assert!(!all.contains(&secret.reveal()[6..]));

    let refused = New { workspace: Some(Uuid::from_u128(7)), ..new() };
    access::create(&db.pool, &clock, &Actor::cli(), refused).await.unwrap_err();
    access::revoke(&db.pool, &clock, &Actor::cli(), Uuid::nil()).await.unwrap();
    assert_eq!((entries(&db, "token.create").await.len(), entries(&db, "token.revoke").await.len()), (1, 1));
}

#[tokio::test]
async fn a_repair_tells_of_each_day_that_it_rebuilt() {
    let db = testing::database().await;
    db.pool.execute(include_str!("../testing/one_task.sql")).await.unwrap();
    crate::rollup::fold::drain(&db.pool).await.unwrap();
    assert!(repair::repair(&db.pool).await.unwrap().rebuilt.is_empty());
    assert_eq!(entries(&db, "rollup.repair").await, []);
    db.pool.execute("update tallybook.task_usage_daily set input_tokens = input_tokens + 1").await.unwrap();
    let [day] = repair::repair(&db.pool).await.unwrap().rebuilt.try_into().unwrap();
    let [told] = entries(&db, "rollup.repair").await.try_into().unwrap();
    assert_eq!((told.target.as_str(), told.via.as_str()), ("task_usage_daily", "service"));
    assert_eq!(told.details, json!({"day": day.day, "keys": 1, "rows_written": 1}));
}

#[tokio::test]
async fn rollups_and_migrations_are_told_of_whoever_calls() {
    let db = testing::database().await;
    db.pool.execute("select tallybook.create_rollup('hourly', '1 hour', array['agent_id', 'model'])").await.unwrap();
    db.pool.execute("select tallybook.drop_rollup('hourly')").await.unwrap();
    let [created] = entries(&db, "rollup.create").await.try_into().unwrap();
    assert_eq!((created.via.as_str(), created.target.as_str()), ("database", "hourly"));
    assert_eq!(created.details, json!({"bucket_width": "01:00:00", "dimensions": ["agent_id", "model"]}));
    assert_eq!(entries(&db, "rollup.drop").await.len(), 1);

    let newest = migrate::status(&db.pool).await.unwrap().pop().unwrap().version;
    let target = format!("{newest:04}");
    assert!(entries(&db, "migration.apply").await.iter().any(|entry| entry.target == target));
    // As the driver does it, in the transaction that reverts.
    sqlx::query("delete from tallybook.migration where version = $1").bind(newest).execute(&db.pool).await.unwrap();
    let [reverted] = entries(&db, "migration.revert").await.try_into().unwrap();
    assert_eq!(reverted.target, target);
}

#[tokio::test]
async fn what_is_rolled_back_leaves_no_entry() {
    let db = testing::database().await;
    let before = list(&db.pool, &Page { limit: 1_000, ..Page::default() }).await.unwrap();
    let mut transaction = db.pool.begin().await.unwrap();
    let event = Event { action: Action::Purge, workspace: None, target: "agent x".to_owned(), details: json!({}) };
    record(&mut transaction, &Actor::cli(), &event).await.unwrap();
    transaction.execute("select tallybook.create_rollup('hourly', '1 hour', array['agent_id', 'model'])").await.unwrap();
    transaction.rollback().await.unwrap();
    assert_eq!(list(&db.pool, &Page { limit: 1_000, ..Page::default() }).await.unwrap(), before);
}

#[tokio::test]
async fn entries_stay_as_they_are() {
    let db = testing::database().await;
    access::create(&db.pool, &Clock::system(), &Actor::cli(), new()).await.unwrap();
    let before = entries(&db, "token.create").await;
    for statement in [
        "update tallybook.audit_log set role = 'nobody'",
        "delete from tallybook.audit_log",
        "truncate tallybook.audit_log",
        "insert into tallybook.audit_log select (a).* from (select a from tallybook.audit_log a) x on conflict (id) do update set role = 'nobody'",
    ] {
        for replica in ["", "set local session_replication_role = replica; "] {
            let mut transaction = db.pool.begin().await.unwrap();
            let refused =
                sqlx::raw_sql(AssertSqlSafe(format!("{replica}{statement}"))).execute(&mut *transaction).await.unwrap_err();
            assert!(refused.to_string().contains("the audit log is only added to"), "{statement}: {refused}");
        }
    }
    assert_eq!(entries(&db, "token.create").await, before);
    assert_eq!(before.len(), 1);
}
