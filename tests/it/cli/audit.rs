//! `tallybook audit` and `tallybook rights`: what was done, and what may be.
use super::{on, transcript_on};
use serde_json::Value;
use sqlx::Executor;
use tallybook::testing;

#[tokio::test]
async fn what_cannot_be_undone_is_listed_newest_first() {
    let database = testing::database().await;
    insta::assert_snapshot!(transcript_on(&database, "audit --action token.create"), @"
    Nothing was done.
    --- exit 0
    ");
    database.pool.execute(include_str!("../../../src/testing/one_task.sql")).await.unwrap();
    database.pool.execute("select tallybook.rollup_task_usage_daily()").await.unwrap();
    database.pool.execute("update tallybook.task_usage_daily set input_tokens = input_tokens + 1").await.unwrap();
    assert!(on(&database, "repair").status().unwrap().success());
    let made = on(&database, "token create --name ci --scope read --all-workspaces").output().unwrap();
    let token = String::from_utf8(made.stdout).unwrap();
    let listed = transcript_on(&database, "audit --since 1h");
    let lines: Vec<&str> = listed.lines().collect();
    assert!(
        lines[1].contains("token.create") && lines[1].contains("cli as postgres") && lines[1].contains("name ci"),
        "{listed}"
    );
    assert!(lines[2].contains("rollup.repair") && lines[2].contains("task_usage_daily"), "{listed}");
    assert!(!listed.contains(&token.trim()[6..]), "{listed}");
    let page = on(&database, "audit --json --limit 1").output().unwrap();
    let page: Value = serde_json::from_slice(&page.stdout).unwrap();
    assert_eq!((page["items"].as_array().unwrap().len(), &page["items"][0]["action"]), (1, &"token.create".into()));
    let next = transcript_on(&database, &format!("audit --limit 1 --after {}", page["next_after"].as_str().unwrap()));
    assert!(next.contains("rollup.repair") && next.contains("There is more: --after "), "{next}");
    // What is told is told of by the migrations themselves, too.
    let migrations = transcript_on(&database, "audit --action migration.apply");
    assert!(migrations.contains("0009"), "{migrations}");
    assert!(on(&database, "migrate down").status().unwrap().success());
}

#[tokio::test]
async fn rights_are_statements_until_the_role_has_them() {
    let database = testing::database().await;
    let role = format!("serve_{}", uuid::Uuid::new_v4().simple());
    let printed = transcript_on(&database, &format!("rights --role {role}"));
    assert!(printed.contains(&format!("grant usage on schema tallybook to {role};\n")), "{printed}");
    insta::assert_snapshot!("rights", printed.replace(&role, "ROLE"));
    database.pool.execute(sqlx::AssertSqlSafe(format!("create role {role}"))).await.unwrap();
    let lacks = transcript_on(&database, &format!("rights --role {role} --check"));
    assert!(lacks.contains("grant usage on schema tallybook") && lacks.ends_with("--- exit 1\n"), "{lacks}");
    let sql = on(&database, &format!("rights --role {role}")).output().unwrap().stdout;
    let sql = String::from_utf8(sql).unwrap();
    database.pool.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(sql))).await.unwrap();
    let has = transcript_on(&database, &format!("rights --role {role} --check")).replace(&role, "ROLE");
    database.pool.execute(sqlx::AssertSqlSafe(format!("drop owned by {role}"))).await.unwrap();
    database.pool.execute(sqlx::AssertSqlSafe(format!("drop role {role}"))).await.unwrap();
    assert_eq!(has, "Role ROLE has what `tallybook serve` needs.\n--- exit 0\n");
}
