//! `tallybook token`: from making one to revoking it.
use super::{on, transcript_on};
use serde_json::Value;
use sqlx::Executor;
use tallybook::access::{self, Scope};
use tallybook::clock::Clock;
use tallybook::testing;

#[tokio::test]
async fn a_token_opens_what_was_asked_for_until_it_is_revoked() {
    let database = testing::database().await;
    database.pool.execute(include_str!("../../../src/testing/one_task.sql")).await.unwrap();
    let arguments = "token create --name ci --scope ingest,read --workspace one --expires-in 90d --json";
    let made: Value = serde_json::from_slice(&on(&database, arguments).output().unwrap().stdout).unwrap();
    let token = made["token"].as_str().unwrap();
    let clock = Clock::system();
    let opens = access::authenticate(&database.pool, &clock, token).await.unwrap().unwrap();
    assert!(opens.allows(Scope::Ingest) && opens.allows(Scope::Read) && !opens.allows(Scope::Admin));
    assert_eq!(opens.workspace, Some("00000000-0000-4000-8000-000000000001".parse().unwrap()));
    let id = made["record"]["id"].as_str().unwrap();
    let list = transcript_on(&database, "token list");
    assert!(list.contains(id) && list.contains("ingest,read") && list.contains("expires "), "{list}");
    let revoked = transcript_on(&database, &format!("token revoke {id}")).replace(id, "ID");
    insta::assert_snapshot!(revoked, @"
    Revoked: ID (ci).
    --- exit 0
    ");
    assert_eq!(access::authenticate(&database.pool, &clock, token).await.unwrap(), None);
    assert!(transcript_on(&database, "token list").contains("revoked "));
}

#[tokio::test]
async fn a_token_may_come_from_a_file() {
    let database = testing::database().await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    let create = |text: &str| {
        std::fs::write(&path, text).unwrap();
        let arguments = format!("token create --name admin --scope admin --all-workspaces --token-file {}", path.display());
        transcript_on(&database, &arguments).replace(path.to_str().unwrap(), "FILE")
    };
    let token = format!("tally_{}", "Ab1-_".repeat(9).split_at(42).0.to_owned() + "A");
    for _ in 0..2 {
        assert_eq!(create(&format!("{token}\n")), "--- exit 0\n");
    }
    assert!(access::authenticate(&database.pool, &Clock::system(), &token).await.unwrap().unwrap().allows(Scope::Admin));
    assert_eq!(access::list(&database.pool).await.unwrap().len(), 1);
    insta::assert_snapshot!(create("hunter2\n"), @"
    --- standard error
    tallybook: the file FILE holds no token: it is tally_ and 32 random bytes in base64 for URLs, 43 characters
    --- exit 2
    ");
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_with_its_reason() {
    let database = testing::database().await;
    insta::assert_snapshot!(transcript_on(&database, "token list"), @"
    There is no token yet; `tallybook token create --help` tells how to make one.
    --- exit 0
    ");
    insta::assert_snapshot!(transcript_on(&database, "token create --name ci --scope read --workspace nowhere"), @r#"
    --- standard error
    tallybook: there is no workspace "nowhere"; name it by id, slug or name
    --- exit 2
    "#);
    insta::assert_snapshot!(transcript_on(&database, "token create --name ci --scope read --all-workspaces --expires-in 0d"), @"
    --- standard error
    tallybook: --expires-in must be longer than nothing
    --- exit 2
    ");
    insta::assert_snapshot!(transcript_on(&database, "token create --name ci --scope write --all-workspaces"), @r#"
    --- standard error
    error: invalid value 'write' for '--scope <SCOPE>': "write" is no scope: ingest, read or admin

    For more information, try '--help'.
    --- exit 2
    "#);
    insta::assert_snapshot!(transcript_on(&database, "token revoke 00000000-0000-4000-8000-000000000009"), @"
    --- standard error
    tallybook: there is no token 00000000-0000-4000-8000-000000000009; `tallybook token list` lists them
    --- exit 2
    ");
    insta::assert_snapshot!(transcript_on(&database, "token admin"), @"
    --- standard error
    tallybook: only the private instance has an admin token of its own; make one with `tallybook token create`
    --- exit 2
    ");
}
