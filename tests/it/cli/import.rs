//! `tallybook import`: what it says of what it has stored.
use super::{on, transcript};
use sqlx::Executor;
use tallybook::testing;

#[tokio::test]
async fn what_was_imported_is_told_though_it_cannot_be_folded() {
    let database = testing::database().await;
    database.pool.execute("alter table public.agent disable trigger tallybook_delete").await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("requests.csv");
    std::fs::write(&file, "at,in,out\n2026-01-02T03:04:05Z,7,8\n").unwrap();
    let import = format!("import csv {} --time at --input in --output out", file.display());
    let told = transcript(&mut on(&database, &import));
    assert!(told.starts_with("1 record read: 1 created.\n--- standard error\n") && told.ends_with("--- exit 0\n"), "{told}");
    assert!(told.contains("all is imported and not folded yet") && told.contains("tallybook_delete"), "{told}");
    database.pool.execute("alter table public.agent enable trigger tallybook_delete").await.unwrap();
    assert_eq!(transcript(&mut on(&database, &import)), "1 record read: 1 unchanged.\n--- exit 0\n");
}
