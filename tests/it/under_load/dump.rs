//! The schema as `pg_dump` writes it.
use std::path::PathBuf;
use tallybook::testing::TestDatabase;
use tokio::process::Command;

/// All of it, byte for byte, but the keys that newer versions of `pg_dump` draw anew each time.
pub(super) async fn schema(db: &TestDatabase) -> String {
    let found = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/postgres-bin")).output().await.unwrap();
    let bin = PathBuf::from(String::from_utf8(found.stdout).unwrap().trim());
    let url = sqlx::ConnectOptions::to_url_lossy(&db.options());
    let url = url.as_str().split('?').next().unwrap();
    let output = Command::new(bin.join("pg_dump")).args(["--schema-only", "--dbname", url]).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("CREATE TABLE public.task_usage"), "pg_dump dumps");
    text.split_inclusive('\n').filter(|line| !line.contains("restrict ")).collect()
}
