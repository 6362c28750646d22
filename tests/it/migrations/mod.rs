//! The schema: readable as one file, and safe to put up and take down on data, by many at once.
mod frozen;

use sqlx::Executor;
use std::path::PathBuf;
use tallybook::audit::Actor;
use tallybook::db::migrate::{self, State};
use tallybook::db::pool::PgPool;
use tallybook::retention;
use tallybook::rollup::{backfill, fold, verify};
use tallybook::testing::{self, TestDatabase};
use tokio::process::Command;

const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/schema.sql");
const FLEET: &str = include_str!("../../../src/testing/one_task.sql");

async fn listing(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar(include_str!("listing.sql")).fetch_all(pool).await.unwrap()
}

/// What `pg_dump` says of the schema, without what depends on its version.
async fn dump(db: &TestDatabase) -> String {
    let found = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/postgres-bin")).output().await.unwrap();
    let bin = PathBuf::from(String::from_utf8(found.stdout).unwrap().trim());
    let url = std::env::var(testing::URL_VARIABLE).unwrap();
    let (server, _) = url.rsplit_once('/').unwrap();
    let name: String = sqlx::query_scalar("select current_database()::text").fetch_one(&db.pool).await.unwrap();
    let output = Command::new(bin.join("pg_dump"))
        .args(["--schema-only", "--no-owner", "--exclude-table=tallybook.migration", "--dbname", &format!("{server}/{name}")])
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let kept: Vec<&str> = std::str::from_utf8(&output.stdout)
        .unwrap()
        .lines()
        .filter(|line| {
            !line.starts_with("--")
                && !line.starts_with('\\')
                && !line.starts_with("SET ")
                && !line.starts_with("SELECT pg_catalog.set_config")
        })
        .collect();
    let mut text =
        "-- What all migrations add up to, as pg_dump writes it. Generated: TALLYBOOK_UPDATE=1 make test.\n".to_owned();
    for line in kept {
        if !(line.is_empty() && text.ends_with("\n\n")) {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[tokio::test]
async fn the_schema_file_is_what_all_migrations_add_up_to() {
    let migrated = testing::database().await;
    if std::env::var_os("TALLYBOOK_UPDATE").is_some() {
        std::fs::write(SCHEMA, dump(&migrated).await).unwrap();
    }
    let written = testing::empty_database().await;
    let schema = format!("set check_function_bodies = off;\n{}", std::fs::read_to_string(SCHEMA).unwrap());
    written.pool.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(schema))).await.unwrap();
    let (from_file, from_migrations) = (listing(&written.pool).await, listing(&migrated.pool).await);
    assert!(from_migrations.len() > 100, "the listing lists");
    for (file, migrations) in from_file.iter().zip(&from_migrations) {
        assert_eq!(file, migrations, "schema.sql is stale: run the tests with TALLYBOOK_UPDATE=1 and commit it");
    }
    assert_eq!(from_file.len(), from_migrations.len());
}

#[tokio::test]
async fn m03_many_instances_migrate_at_once() {
    let db = testing::empty_database().await;
    let mut instances = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let pool = db.pool.clone();
        instances.spawn(async move { migrate::up(&pool).await });
    }
    for result in instances.join_all().await {
        result.unwrap();
    }
    assert!(migrate::status(&db.pool).await.unwrap().iter().all(|m| m.state == State::Applied));
}

#[tokio::test]
async fn m05_down_one_by_one_and_up_again_on_data_with_ticks_between() {
    let db = testing::database().await;
    let versions: Vec<i64> = migrate::status(&db.pool).await.unwrap().iter().map(|m| m.version).collect();
    db.pool.execute(FLEET).await.unwrap();
    for down_to in versions.iter().rev().skip(1) {
        if fold_is_there(&db.pool).await {
            fold::tick(&db.pool).await.unwrap();
        }
        migrate::down(&db.pool, *down_to).await.unwrap();
    }
    assert_eq!(triggers(&db.pool).await, 0, "nothing of ours is left on the source tables");
    db.pool.execute("update task_usage set input_tokens = 20; insert into task_usage (task_id, provider, model) select id, 'b', 'c' from agent_task_queue").await.unwrap();
    migrate::up(&db.pool).await.unwrap();
    assert!(verify::verify(&db.pool).await.unwrap().exact(), "uncovered history is read from raw");
    backfill::run(&db.pool, 1, |_| {}).await.unwrap();
    db.pool.execute("update task_usage set output_tokens = 5").await.unwrap();
    assert!(verify::verify(&db.pool).await.unwrap().exact());
    assert_eq!(listing(&testing::database().await.pool).await.len(), listing(&db.pool).await.len());
}

#[tokio::test]
async fn down_to_nothing_leaves_nothing() {
    let db = testing::database().await;
    db.pool.execute(FLEET).await.unwrap();
    migrate::down(&db.pool, 0).await.unwrap();
    let left: i64 = sqlx::query_scalar(
        "select count(*) from pg_class where relnamespace in ('public'::regnamespace, to_regnamespace('tallybook'))",
    )
    .fetch_one(&db.pool)
    .await
    .unwrap();
    assert_eq!(left, 0);
    migrate::up(&db.pool).await.unwrap();
}

#[tokio::test]
async fn going_down_never_loses_sealed_usage_unsaid() {
    let db = testing::database().await;
    db.pool.execute(FLEET).await.unwrap();
    db.pool.execute("select tallybook.seal('2026-01-02', '2026-01-03', null, 10)").await.unwrap();
    let sum = "select sum(input_tokens)::bigint from tallybook.task_usage_daily_now";
    let refused_down = async |target| {
        let refused = migrate::down(&db.pool, target).await.unwrap_err().to_string();
        // It leaves no lock that others wait for.
        migrate::up(&db.pool).await.unwrap();
        refused
    };
    for target in [9, 1, 0] {
        let refused = refused_down(target).await;
        assert!(refused.contains("usage was sealed"), "{refused}");
        assert_eq!(sqlx::query_scalar::<_, i64>(sum).fetch_one(&db.pool).await.unwrap(), 10);
    }
    // What is left of it is the memory that it was counted.
    db.pool.execute("delete from tallybook.sealed_usage").await.unwrap();
    assert!(refused_down(9).await.contains("usage was sealed"));
    retention::discard(&db.pool, &Actor::cli()).await.unwrap();
    let noted = "select details from tallybook.audit_log where action = 'usage.discard'";
    let details: serde_json::Value = sqlx::query_scalar(noted).fetch_one(&db.pool).await.unwrap();
    assert!(details["sealed_rows"] == 0 && details["identities"] != 0, "{details}");
    migrate::down(&db.pool, 9).await.unwrap();
    fold::tick(&db.pool).await.unwrap();
    assert!(verify::verify(&db.pool).await.unwrap().exact());
    migrate::up(&db.pool).await.unwrap();
    assert!(verify::verify(&db.pool).await.unwrap().exact());
}

#[tokio::test]
async fn m06_a_missing_or_altered_migration_is_seen_wherever_it_is() {
    let db = testing::database().await;
    db.pool
        .execute(
            "delete from tallybook.migration where version = 3; update tallybook.migration set checksum = 'x' where version = 4",
        )
        .await
        .unwrap();
    let states: Vec<State> = migrate::status(&db.pool).await.unwrap().iter().map(|m| m.state).collect();
    assert_eq!(states[2], State::Pending);
    assert_eq!(states[3], State::Altered);
    assert_eq!(states[4], State::Applied);
}

#[tokio::test]
async fn a_third_rollup_is_one_declaration() {
    let db = testing::database().await;
    db.pool.execute(FLEET).await.unwrap();
    db.pool
        .execute("select tallybook.create_rollup('usage_by_agent_hourly', '1 hour', array['agent_id', 'model'])")
        .await
        .unwrap();
    for _ in 0..2 {
        db.pool.execute("update task_usage set input_tokens = input_tokens + 1").await.unwrap();
        let shown: (i64, String) =
            sqlx::query_as("select input_tokens::bigint, bucket_start::text from tallybook.usage_by_agent_hourly_now")
                .fetch_one(&db.pool)
                .await
                .unwrap();
        let raw: i64 = sqlx::query_scalar("select input_tokens from task_usage").fetch_one(&db.pool).await.unwrap();
        assert_eq!(shown, (raw, "2026-01-02 03:00:00+00".to_owned()));
        backfill::run(&db.pool, 1, |_| {}).await.unwrap();
        fold::drain(&db.pool).await.unwrap();
        let report = verify::verify(&db.pool).await.unwrap();
        assert_eq!(report.rollups.len(), 3);
        assert!(report.exact());
    }
    db.pool.execute("select tallybook.drop_rollup('usage_by_agent_hourly')").await.unwrap();
}

async fn fold_is_there(pool: &PgPool) -> bool {
    sqlx::query_scalar("select to_regproc('tallybook.rollup_task_usage_daily') is not null").fetch_one(pool).await.unwrap()
}

async fn triggers(pool: &PgPool) -> i64 {
    sqlx::query_scalar("select count(*) from pg_trigger where tgname like 'tallybook%'").fetch_one(pool).await.unwrap()
}

/// A dump spells out what `*` stands for. Of a catalog, these are other columns in each version, and a newer server refuses the dump.
#[test]
fn the_schema_names_no_columns_of_catalogs_that_nobody_asked_for() {
    let schema = std::fs::read_to_string(SCHEMA).unwrap();
    let one_of_each_catalog =
        ["attcacheoff", "relrewrite", "indcheckxmin", "prosupport", "tgconstrindid", "typanalyze", "conpfeqop"];
    assert_eq!(one_of_each_catalog.map(|column| schema.contains(column)), [false; 7], "{one_of_each_catalog:?}");
}
