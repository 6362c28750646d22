//! Dump and restore: transaction ids start over, and what was pending still is.
use super::{FOLD, folded_world, run, text};
use crate::races::world::{Capture, assert_exact, fold_exactly};
use sqlx::ConnectOptions;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use tallybook::testing::{self, TestDatabase};

/// A program of PostgreSQL's, of the version that `PG_BIN` or `pg_config` names, else whichever the path has.
fn program(name: &str) -> Command {
    let directory = std::env::var("PG_BIN").ok().or_else(|| {
        let output = Command::new("pg_config").arg("--bindir").output().ok()?;
        String::from_utf8(output.stdout).ok()
    });
    let directory = directory.map(|directory| PathBuf::from(directory.trim()));
    let path = directory.map(|directory| directory.join(name)).filter(|path| path.exists());
    Command::new(path.unwrap_or_else(|| PathBuf::from(name)))
}

fn url(db: &TestDatabase) -> String {
    let mut url = db.options().to_url_lossy();
    url.set_query(None);
    url.to_string()
}

fn succeeded(output: Output) -> Vec<u8> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Dumps a database and restores it into one that is empty.
fn copy(from: &TestDatabase, to: &TestDatabase) {
    let dump = succeeded(program("pg_dump").arg("--dbname").arg(url(from)).output().unwrap());
    let mut restore = program("psql")
        .args(["--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", "--dbname"])
        .arg(url(to))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut restore.stdin.take().unwrap(), &dump).unwrap();
    succeeded(restore.wait_with_output().unwrap());
}

#[tokio::test]
async fn r32_changes_that_waited_through_dump_and_restore_are_not_lost() {
    let (db, mut conn) = folded_world(Capture::ByStatement).await;
    run(
        &mut conn,
        "update agent_task_queue set runtime_id = the('runtime 2'); update task_usage set input_tokens = input_tokens + 1",
    )
    .await;
    run(&mut conn, "update agent set workspace_id = the('workspace 1'); delete from project").await;
    let restored = testing::empty_database().await;
    copy(&db, &restored);
    let mut conn = restored.connect().await;
    let waiting = text(&mut conn, "select usage_rows + task_rows + agent_rows + issue_rows from tallybook.backlog()").await;
    assert_ne!(waiting, "0");
    assert_exact(&mut conn, "a restore").await;
    run(&mut conn, "insert into task_usage (task_id, provider, model, input_tokens) values (the('task 1'), 'new', 'm', 5)").await;
    assert_exact(&mut conn, "a write after the restore").await;
    fold_exactly(&mut conn, "a restore and a write").await;
    assert_eq!(text(&mut conn, "select count(*) from tallybook.capture_faults()").await, "0");
}

#[tokio::test]
async fn r32_a_mark_of_another_cluster_counts_for_nothing() {
    let (_db, mut conn) = folded_world(Capture::ByRow).await;
    // what a restore leaves: ids far ahead of this cluster's, in a row that another transaction wrote
    run(&mut conn, "update tallybook.fold_mark set floor = '900000000000', open = '{}', writer = '3'").await;
    run(&mut conn, "update task_usage set input_tokens = input_tokens + 1; update agent_task_queue set runtime_id = null").await;
    assert_exact(&mut conn, "a foreign mark").await;
    assert_eq!(text(&mut conn, "select tallybook.is_pending()").await, "true");
    fold_exactly(&mut conn, "a foreign mark").await;
    run(&mut conn, "update task_usage set input_tokens = input_tokens + 1").await;
    run(&mut conn, &format!("begin; savepoint s; {FOLD}; release s; commit")).await;
    fold_exactly(&mut conn, "a fold in a savepoint").await;
}
