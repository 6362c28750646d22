//! Each kind of danger is found, and a database without any is healthy.
use super::*;
use crate::testing::{self, TestDatabase};
use sqlx::{AssertSqlSafe, Executor};

async fn world() -> TestDatabase {
    let db = testing::database().await;
    db.pool.execute(include_str!("../testing/one_task.sql")).await.unwrap();
    db
}

async fn run(db: &TestDatabase, sql: &str) {
    db.pool.execute(AssertSqlSafe(sql.to_owned())).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// What was found but for notes, and for warnings of the server's settings, which are the test server's own.
async fn found(db: &TestDatabase) -> Vec<(Severity, String, String)> {
    let report = examine(&db.pool).await.unwrap();
    assert_eq!(report.unchecked, []);
    let told = report.findings.into_iter().filter(|f| f.severity != Severity::Note && f.code != "not_durable");
    told.map(|f| (f.severity, f.code, f.place)).collect()
}

#[tokio::test]
async fn a_fresh_database_is_healthy_whatever_is_declared_and_however_usage_is_captured() {
    let db = world().await;
    assert_eq!(found(&db).await, []);
    run(&db, "select tallybook.capture_usage_by('row')").await;
    assert_eq!(found(&db).await, []);
    run(&db, "select tallybook.create_rollup('by_agent', '1 hour', array['agent_id', 'model'])").await;
    assert_eq!(found(&db).await, [], "a rollup that is not covered yet");
    crate::rollup::backfill::run(&db.pool, 10, |_| {}).await.unwrap();
    assert_eq!(found(&db).await, [], "one that is");
    run(&db, "select tallybook.drop_rollup('task_usage_quarter_hour')").await;
    run(&db, "select tallybook.create_rollup('task_usage_quarter_hour', '30 minutes', array['agent_id', 'provider'])").await;
    assert_eq!(found(&db).await, [], "one that is declared otherwise");
    let left: i64 = sqlx::query_scalar("select count(*) from pg_namespace where nspname like 'tallybook\\_%'")
        .fetch_one(&db.pool)
        .await
        .unwrap();
    assert_eq!(left, 0, "the reference is gone");
}

#[tokio::test]
async fn what_was_done_to_capture_and_to_functions_is_found_and_the_sql_mends_it() {
    let db = world().await;
    for (sql, code, place) in [
        (
            "alter table public.agent disable trigger tallybook_delete",
            "trigger_disabled",
            "trigger tallybook_delete on public.agent",
        ),
        ("drop trigger tallybook_update on public.issue", "trigger_missing", "trigger tallybook_update on public.issue"),
        (
            "drop trigger tallybook_delete on tallybook.sealed_usage",
            "trigger_missing",
            "trigger tallybook_delete on tallybook.sealed_usage",
        ),
        (
            "drop trigger tallybook_truncate on public.task_usage",
            "trigger_missing",
            "trigger tallybook_truncate on public.task_usage",
        ),
        (
            "create or replace trigger tallybook_update after update of runtime_id on public.agent_task_queue for each row execute function tallybook.capture_task()",
            "trigger_altered",
            "trigger tallybook_update on public.agent_task_queue",
        ),
        (
            "create or replace function tallybook.capture_agent() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp as $$ begin return null; end $$",
            "function_altered",
            "tallybook.capture_agent()",
        ),
        (
            "create or replace function tallybook.bucket(happened_at timestamptz) returns timestamptz language sql immutable parallel safe return date_bin('15 minutes', happened_at, '0001-01-01 00:00+00')",
            "function_altered",
            "tallybook.bucket(timestamp with time zone)",
        ),
        ("alter function tallybook.pending() reset jit", "function_altered", "tallybook.pending()"),
        (
            "create or replace view tallybook.task_usage_daily_dirty as select * from (select null::date as bucket_date, null::uuid as workspace_id, null::uuid as runtime_id, ''::text collate \"C\" as provider, ''::text collate \"C\" as model, now() as enqueued_at) x",
            "view_altered",
            "view tallybook.task_usage_daily_dirty",
        ),
        (
            "grant execute on function tallybook.execute_sums(text, xid8, xid8[], uuid[]) to public",
            "function_open",
            "tallybook.execute_sums(text,xid8,xid8[],uuid[])",
        ),
        ("grant insert, delete on tallybook.task_usage_daily to public", "table_open", "table tallybook.task_usage_daily"),
        ("grant create on schema tallybook to public", "schema_open", "schema tallybook"),
        ("alter table tallybook.task_change set unlogged", "unlogged", "table tallybook.task_change"),
    ] {
        run(&db, sql).await;
        let report = examine(&db.pool).await.unwrap();
        let dangers: Vec<_> = report.dangers().filter(|f| f.code != "table_altered").collect();
        assert_eq!(dangers.iter().map(|f| (f.code.as_str(), f.place.as_str())).collect::<Vec<_>>(), [(code, place)], "{sql}");
        run(&db, dangers[0].sql.as_deref().unwrap_or_else(|| panic!("{code} has no SQL"))).await;
        assert_eq!(found(&db).await, [], "the SQL of {code} mends it");
    }
}

#[tokio::test]
async fn what_does_not_belong_to_the_schema_is_found() {
    use Severity::{Danger, Warning};
    let db = world().await;
    let mut expected = Vec::new();
    for (sql, severity, code, place) in [
        ("create table public.old_usage () inherits (public.task_usage)", Danger, "child_uncaptured", "table public.old_usage"),
        ("drop function tallybook.record_fold_error(text)", Danger, "function_missing", "tallybook.record_fold_error(text)"),
        (
            "create rule quiet as on delete to tallybook.task_change do instead nothing",
            Danger,
            "rule_foreign",
            "rule quiet on tallybook.task_change",
        ),
        (
            "alter table tallybook.task_usage_daily alter event_count drop not null",
            Danger,
            "table_altered",
            "table tallybook.task_usage_daily",
        ),
        (
            "create trigger meddle before insert on tallybook.usage_change for each row execute function suppress_redundant_updates_trigger()",
            Danger,
            "trigger_foreign",
            "trigger meddle on tallybook.usage_change",
        ),
        ("alter table public.task_usage set unlogged", Danger, "unlogged", "table public.task_usage"),
        ("drop index tallybook.usage_change_xid", Warning, "index_missing", "index tallybook.usage_change_xid"),
        ("drop index public.task_usage_created_at", Warning, "index_missing", "public.task_usage (created_at)"),
    ] {
        run(&db, sql).await;
        expected.push((severity, code.to_owned(), place.to_owned()));
    }
    assert_eq!(found(&db).await, expected, "the worst first");
}

#[tokio::test]
async fn sessions_that_begin_as_replica_are_found() {
    let db = world().await;
    let name: String = sqlx::query_scalar("select current_database()::text").fetch_one(&db.pool).await.unwrap();
    run(&db, &format!("alter database {name} set session_replication_role = replica")).await;
    let [(severity, code, place)] = found(&db).await.try_into().unwrap();
    assert_eq!((severity, code.as_str()), (Severity::Danger, "replica_role"));
    assert_eq!(place, format!("session_replication_role of every role in database {name}"));
}

#[tokio::test]
async fn usage_that_belongs_to_nobody_is_counted() {
    let db = world().await;
    run(
        &db,
        "begin; set local session_replication_role = replica;
         insert into public.task_usage (task_id, provider, model) select gen_random_uuid(), 'p', n from generate_series(1, 3) n; commit",
    )
    .await;
    let report = examine(&db.pool).await.unwrap();
    let finding = report.findings.iter().find(|f| f.code == "usage_without_task").unwrap();
    assert_eq!(finding.severity, Severity::Warning);
    assert!(finding.what.starts_with("3 of its rows are in no sum: their task is missing (task "), "{}", finding.what);
    assert!(report.healthy());
}

#[tokio::test]
async fn row_security_that_hides_rows_from_us_is_found() {
    let db = world().await;
    let role = format!("owner_{}", uuid::Uuid::new_v4().simple());
    run(&db, &format!("create role {role}")).await;
    let sql: Vec<String> = sqlx::query_scalar(
        "select format('alter function %s owner to %I', oid::regprocedure, $1) from pg_proc
         where pronamespace = 'tallybook'::regnamespace and proname <> 'fold'",
    )
    .bind(&role)
    .fetch_all(&db.pool)
    .await
    .unwrap();
    run(&db, &sql.join(";")).await;
    run(&db, "alter table public.task_usage enable row level security").await;
    let found = examine(&db.pool).await.unwrap().findings;
    run(&db, &format!("reassign owned by {role} to current_user; drop role {role}")).await;
    let with_code = |wanted: &str| {
        let found = found.iter().filter(|finding| finding.code == wanted);
        found.map(|finding| (finding.severity, finding.place.as_str())).collect::<Vec<_>>()
    };
    assert_eq!(with_code("row_security"), [(Severity::Danger, "table public.task_usage")]);
    assert_eq!(with_code("owners_differ"), [(Severity::Warning, "tallybook.fold(integer,bigint)")]);
    assert!(with_code("owner_lacks_right").contains(&(Severity::Danger, "table public.agent")));
}

#[tokio::test]
async fn who_keeps_others_from_folding_is_named() {
    let db = world().await;
    let gid = format!("tick_{}", uuid::Uuid::new_v4().simple());
    run(&db, &format!("begin; select tallybook.fold(1, 10); prepare transaction '{gid}'")).await;
    let found = found(&db).await;
    run(&db, &format!("rollback prepared '{gid}'")).await;
    assert_eq!(found, [(Severity::Warning, "fold_lock".to_owned(), format!("prepared transaction '{gid}'"))]);
}

#[tokio::test]
async fn what_cannot_be_looked_at_is_said() {
    let db = testing::database().await;
    run(&db, "delete from tallybook.migration where version = 4").await;
    let report = examine(&db.pool).await.unwrap();
    assert_eq!(report.findings[0].place, "migration 0004");
    assert_eq!(report.unchecked[0].check, "everything else");
    assert!(!report.healthy());

    let db = testing::database().await;
    let name: String = sqlx::query_scalar("select current_database()::text").fetch_one(&db.pool).await.unwrap();
    run(&db, &format!("alter database {name} set default_transaction_read_only = on")).await;
    let fresh = crate::db::pool::lazy(db.options(), None, 2);
    let report = examine(&fresh).await.unwrap();
    assert_eq!(report.unchecked.iter().map(|u| u.check.as_str()).collect::<Vec<_>>(), ["schema"]);
    assert!(report.healthy());
    db.pool.close().await;
    assert!(examine(&db.pool).await.is_err(), "a database that is away is no finding");
}

#[tokio::test]
async fn partitions_past_the_triggers_are_found() {
    let db = testing::database().await;
    run(
        &db,
        "alter table public.task_usage rename to task_usage_old;
         create table public.task_usage (like public.task_usage_old) partition by range (created_at);
         create table public.task_usage_2026 partition of public.task_usage for values from ('2026-01-01') to ('2027-01-01');
         create index on public.task_usage (task_id); create index on public.task_usage (created_at);
         create trigger tallybook_truncate before truncate on public.task_usage for each statement execute function tallybook.refuse_truncate();
         select tallybook.capture_usage_by('statement')",
    )
    .await;
    let of_partition = |found: Vec<(Severity, String, String)>| {
        found.into_iter().filter(|(.., place)| place.contains("2026")).map(|(_, code, _)| code).collect::<Vec<_>>()
    };
    assert_eq!(of_partition(found(&db).await), ["child_uncaptured"]);
    run(&db, "drop trigger tallybook_truncate on public.task_usage_2026").await;
    assert_eq!(of_partition(found(&db).await), ["child_uncaptured", "partition_truncate"]);
    run(&db, "select tallybook.capture_usage_by('row')").await;
    assert_eq!(of_partition(found(&db).await), [""; 0]);
    run(&db, "alter table public.task_usage_2026 disable trigger tallybook_insert").await;
    assert_eq!(of_partition(found(&db).await), ["child_uncaptured"]);
}

#[tokio::test]
async fn sealed_usage_that_was_written_again_is_found_and_the_sql_mends_it() {
    let db = world().await;
    run(&db, "select tallybook.seal('2026-01-02', '2026-01-03', null, 10)").await;
    assert_eq!(found(&db).await, []);
    let again = "insert into public.task_usage (task_id, provider, model, input_tokens) select id, 'anthropic', 'opus', 10 from public.agent_task_queue";
    run(&db, again).await;
    let report = examine(&db.pool).await.unwrap();
    let danger = report.dangers().next().unwrap();
    assert_eq!((danger.code.as_str(), report.dangers().count()), ("sealed_again", 1));
    run(&db, danger.sql.as_deref().unwrap()).await;
    assert_eq!(found(&db).await, []);
    // Who is gone is no danger: a plain delete keeps what is sealed.
    run(&db, "delete from public.agent").await;
    let report = examine(&db.pool).await.unwrap();
    let note = report.findings.iter().find(|finding| finding.code == "sealed_orphans").unwrap();
    run(&db, note.sql.as_deref().unwrap()).await;
    let report = examine(&db.pool).await.unwrap();
    assert!(report.findings.iter().all(|finding| finding.code != "sealed_orphans"), "{report:?}");
}
