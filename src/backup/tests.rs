//! Backups are whole or not there, and what comes back is what was there.
use super::*;
use crate::adopt;
use crate::rollup::{backfill, fold, verify};
use crate::testing::{self, TestDatabase};
use jiff::Timestamp;
use sqlx::Executor;
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

/// A task whose usage is folded, with changes that are not: of usage, task and agent.
async fn with_pending_changes() -> TestDatabase {
    let db = testing::database().await;
    db.pool.execute(include_str!("../testing/one_task.sql")).await.unwrap();
    fold::drain(&db.pool).await.unwrap();
    db.pool
        .execute(
            "update public.task_usage set input_tokens = 12, model = 'sonnet';
             update public.agent_task_queue set runtime_id = null;
             insert into public.task_usage (task_id, provider, model, output_tokens) select id, 'p', 'm', 5 from public.agent_task_queue",
        )
        .await
        .unwrap();
    db
}

async fn back_up(db: &TestDatabase) -> (TempDir, PathBuf, Manifest) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("backup");
    let manifest = dump(&db.pool, &path, Timestamp::UNIX_EPOCH).await.unwrap();
    (directory, path, manifest)
}

#[tokio::test]
async fn what_was_pending_comes_back_pending_and_counts_once() {
    let db = with_pending_changes().await;
    let (_directory, path, manifest) = back_up(&db).await;
    assert_eq!((manifest.holds.usage_rows, manifest.holds.input_tokens.as_str()), (2, "12"));
    assert!(manifest.holds.pending_rows > 2, "{manifest:?}");
    let empty = testing::empty_database().await;
    let restored = restore(&empty.pool, &path).await.unwrap();
    assert_eq!(restored.manifest, manifest);
    assert!(restored.verified.exact(), "{:?}", restored.verified);
    let pending: bool = sqlx::query_scalar("select tallybook.is_pending()").fetch_one(&empty.pool).await.unwrap();
    assert!(pending);
    empty.pool.execute("update public.task_usage set output_tokens = output_tokens + 1").await.unwrap();
    fold::drain(&empty.pool).await.unwrap();
    assert!(verify::verify(&empty.pool).await.unwrap().exact());
    let doctor = crate::doctor::examine(&empty.pool).await.unwrap();
    assert!(doctor.healthy(), "{doctor:?}");
}

/// Somebody else's tables, with a column renamed and a day sealed, which is not folded yet.
async fn adopted_and_sealed() -> TestDatabase {
    let db = testing::adopted_database().await;
    db.pool.execute("alter table public.task_usage rename input_tokens to tokens_in").await.unwrap();
    adopt::refresh(&db.pool).await.unwrap();
    db.pool
        .execute(
            "insert into public.task_usage (task_id, provider, model, tokens_in, created_at)
             select task_id, 'OpenAI', 'gpt', 7, '2026-01-03 00:00:00+00' from public.task_usage",
        )
        .await
        .unwrap();
    backfill::run(&db.pool, 1000, |_| {}).await.unwrap();
    db.pool.execute("select tallybook.seal('2026-01-02', '2026-01-03', null, 10)").await.unwrap();
    db
}

#[tokio::test]
async fn an_adopted_database_comes_back_with_its_renames_and_what_was_sealed() {
    let db = adopted_and_sealed().await;
    let (_directory, path, manifest) = back_up(&db).await;
    let holds = &manifest.holds;
    assert_eq!((holds.usage_rows, holds.task_rows, holds.sealed_rows, holds.sealed_identities), (1, 1, 1, 1));
    assert_eq!((holds.input_tokens.as_str(), holds.pending_rows), ("17", 2), "the row that went, and its sum that came");
    let empty = testing::empty_database().await;
    let restored = restore(&empty.pool, &path).await.unwrap();
    assert_eq!(restored.manifest, manifest);
    assert!(restored.verified.exact(), "{:?}", restored.verified);
    // It is captured as before, by the names that it has.
    empty.pool.execute("update public.task_usage set tokens_in = tokens_in + 1").await.unwrap();
    fold::drain(&empty.pool).await.unwrap();
    assert!(verify::verify(&empty.pool).await.unwrap().exact());
    let sum: i64 = sqlx::query_scalar("select sum(input_tokens)::bigint from tallybook.task_usage_daily_now")
        .fetch_one(&empty.pool)
        .await
        .unwrap();
    assert_eq!(sum, 18);
    let doctor = crate::doctor::examine(&empty.pool).await.unwrap();
    assert!(doctor.healthy(), "{doctor:?}");
}

#[tokio::test]
async fn sealed_usage_that_is_not_what_was_backed_up_is_told() {
    let db = adopted_and_sealed().await;
    let (_directory, path, manifest) = back_up(&db).await;
    for holds in [
        Holdings { sealed_rows: 2, ..manifest.holds.clone() },
        Holdings { sealed_identities: 0, ..manifest.holds.clone() },
        Holdings { pending_rows: 1, ..manifest.holds.clone() },
    ] {
        let other = serde_json::to_string(&Manifest { holds, ..manifest.clone() }).unwrap();
        fs::write(path.join(MANIFEST_FILE), other).unwrap();
        let error = restore(&testing::empty_database().await.pool, &path).await.unwrap_err();
        assert!(matches!(error, Error::Differs { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_database_that_ends_idle_transactions_is_backed_up_all_the_same() {
    let db = with_pending_changes().await;
    let mut slow = db.connect().await;
    for setting in ["idle_in_transaction_session_timeout", "transaction_timeout"] {
        // The latter came with PostgreSQL 17.
        let set = format!(
            "do $$ begin
               if exists (select from pg_settings where name = '{setting}') then execute format('alter database %I set {setting} = 100', current_database()); end if;
             end $$"
        );
        db.pool.execute(sqlx::AssertSqlSafe(set)).await.unwrap();
    }
    let pool = crate::db::pool::lazy(db.options(), None, 2);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("backup");
    // As long as pg_dump takes for it, at least.
    slow.execute("begin; lock table tallybook.access_token in access exclusive mode").await.unwrap();
    let (made, ()) = tokio::join!(dump(&pool, &path, Timestamp::UNIX_EPOCH), async {
        let waits = "select exists (select from pg_stat_activity where datname = current_database() and application_name = 'tallybook backup'
            and wait_event_type = 'Lock' and query_start < clock_timestamp() - interval '500 ms')";
        while !sqlx::query_scalar::<_, bool>(waits).fetch_one(&db.pool).await.unwrap() {
            tokio::task::yield_now().await;
        }
        slow.execute("rollback").await.unwrap();
    });
    assert_eq!(made.unwrap().holds.usage_rows, 2);
    Manifest::read(&path).unwrap();
}

#[tokio::test]
async fn nothing_is_restored_over_anything() {
    let db = with_pending_changes().await;
    let (_directory, path, manifest) = back_up(&db).await;
    let other = testing::database().await;
    let error = restore(&other.pool, &path).await.unwrap_err().to_string();
    assert!(error.contains("not empty: it holds tallybook."), "{error}");
    let hosts = testing::empty_database().await;
    hosts.pool.execute("create table public.orders ()").await.unwrap();
    let error = restore(&hosts.pool, &path).await.unwrap_err().to_string();
    assert!(error.contains("public.orders"), "{error}");
    let error = dump(&db.pool, &path, manifest.made_at).await.unwrap_err();
    assert!(matches!(error, Error::Exists(_)), "{error}");
}

#[tokio::test]
async fn a_restore_that_fails_leaves_an_empty_database() {
    let db = with_pending_changes().await;
    // A right of a role that is gone by the time of the restore.
    let role = format!("reader_{}", uuid::Uuid::new_v4().simple());
    let grant = format!("create role {role}; grant select on public.task_usage to {role}");
    db.pool.execute(sqlx::AssertSqlSafe(grant)).await.unwrap();
    let (_directory, path, _) = back_up(&db).await;
    db.pool.execute(sqlx::AssertSqlSafe(format!("drop owned by {role}; drop role {role}"))).await.unwrap();
    let empty = testing::empty_database().await;
    let error = restore(&empty.pool, &path).await.unwrap_err().to_string();
    assert!(error.starts_with("pg_restore failed: ") && error.contains(&role), "{error}");
    let found: Option<String> = sqlx::query_scalar(include_str!("found.sql")).fetch_optional(&empty.pool).await.unwrap();
    assert_eq!(found, None);
}

#[tokio::test]
async fn what_is_no_whole_backup_is_refused() {
    let db = with_pending_changes().await;
    let (directory, path, manifest) = back_up(&db).await;
    let says = || Manifest::read(&path).unwrap_err().to_string();
    let (dump_file, manifest_file) = (path.join(DUMP_FILE), path.join(MANIFEST_FILE));
    let whole = fs::read(&dump_file).unwrap();

    fs::write(&dump_file, &whole[..whole.len() / 2]).unwrap();
    assert!(says().contains("is damaged: it has"), "{}", says());
    let mut turned = whole.clone();
    turned[whole.len() / 2] ^= 1;
    fs::write(&dump_file, turned).unwrap();
    assert!(says().contains("SHA-256"), "{}", says());
    fs::write(&dump_file, whole).unwrap();
    Manifest::read(&path).unwrap();

    let newer = Manifest { migrations: vec![1, 9999], tallybook: "99.0.0".into(), ..manifest.clone() };
    fs::write(&manifest_file, serde_json::to_string(&newer).unwrap()).unwrap();
    assert!(says().contains("Tallybook 99.0.0 and has migration 9999"), "{}", says());
    fs::write(&manifest_file, "{}").unwrap();
    assert!(says().contains("cannot be understood"), "{}", says());
    let error = Manifest::read(directory.path()).unwrap_err().to_string();
    assert!(error.contains("is no backup"), "{error}");

    let empty = testing::empty_database().await;
    let newer = Manifest { server_version_num: 990_001, ..manifest };
    let error = check_target(&empty.pool, &newer).await.unwrap_err().to_string();
    assert!(error.contains("of PostgreSQL 99"), "{error}");
    let error = dump(&empty.pool, &directory.path().join("none"), Timestamp::UNIX_EPOCH).await.unwrap_err();
    assert!(matches!(error, Error::NoSchema), "{error}");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing unfinished is left");
}
