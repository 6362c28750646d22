//! Retention on hosts' tables: old usage leaves them, every total stays, and so does what else the host has.
use super::{LOOSE, PARTITIONED, PLATFORM, Service, TestDatabase, assert_healthy, dump, host, run};
use crate::cli::on;
use serde_json::Value;
use tallybook::adopt::{self, Patience};
use tallybook::audit::Actor;
use tallybook::db::migrate;
use tallybook::doctor;
use tallybook::retention::{self, Error, Options, Policy, Report};
use tallybook::rollup::{backfill, fold, verify};
use tokio::process::Command;

/// All that is shown, by every key: as one word, to be compared.
async fn shown(db: &TestDatabase) -> String {
    let all = "select md5(string_agg(row, ' ' order by row)) from (
        select d::text from tallybook.task_usage_daily_now d union all select q::text from tallybook.task_usage_quarter_hour_now q) x (row)";
    sqlx::query_scalar(all).fetch_one(&db.pool).await.unwrap()
}

async fn number(db: &TestDatabase, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(&db.pool).await.unwrap()
}

/// A host's tables, adopted and covered, and their schema as it was.
async fn covered(schema: &'static str) -> (TestDatabase, String) {
    let db = host(schema).await;
    let before = dump(&db).await;
    migrate::up_adopting_with(&db.pool, &crate::mutations::migrations()).await.unwrap();
    adopt::install(&db.pool, None, Patience::default(), drop).await.unwrap();
    backfill::run(&db.pool, 1000, |_| {}).await.unwrap();
    (db, before)
}

/// Seals what happened before 2026-02-01.
async fn retain(db: &TestDatabase, options: Options) -> Result<Report, Error> {
    let days = number(db, "select ((now() at time zone 'UTC')::date - '2026-02-01'::date)::bigint").await;
    let policy = Policy { raw: Some(format!("{days}d").parse().unwrap()), quarter_hours: None };
    let plan = retention::plan(&db.pool, policy).await.unwrap();
    retention::run(&db.pool, &Actor::cli(), &plan, options, |_| {}).await
}

/// The dangers that doctor sees, and the SQL that mends the first.
async fn dangers(db: &TestDatabase) -> (Vec<String>, Option<String>) {
    let report = doctor::examine(&db.pool).await.unwrap();
    let sql = report.dangers().next().and_then(|finding| finding.sql.clone());
    (report.dangers().map(|finding| finding.code.clone()).collect(), sql)
}

/// Seals, and gives the partitions that went. Every total stays, whatever is sealed, written again with SQL, or written meanwhile. `has_identities`: a
/// unique key says which usage is the same.
async fn every_total_stays(db: &TestDatabase, has_identities: bool) -> Vec<String> {
    let old: Value =
        sqlx::query_scalar("select to_jsonb(u) from public.task_usage u where created_at < '2026-02-01' order by id limit 1")
            .fetch_one(&db.pool)
            .await
            .unwrap();
    let old_rows = number(db, "select count(*) from public.task_usage where created_at < '2026-02-01'").await;
    let before = shown(db).await;
    let report = retain(db, Options { batch_rows: 50, ..Options::default() }).await.unwrap();
    assert_eq!((report.rows_sealed(), report.rows_left(), report.differing.as_slice()), (old_rows, 0, [].as_slice()));
    assert!(old_rows > 100);
    assert_eq!(number(db, "select count(*) from public.task_usage where created_at < '2026-02-01'").await, 0);
    assert_eq!(shown(db).await, before);
    fold::drain(&db.pool).await.unwrap();
    assert_eq!(shown(db).await, before);
    assert!(verify::verify(&db.pool).await.unwrap().exact());
    assert_healthy(db).await;

    // What the host writes past the service counts again. Where it can be known that it is the same, it is found, and goes with the SQL that is given.
    let again = "insert into public.task_usage select (jsonb_populate_record(null::public.task_usage, $1)).*";
    sqlx::query(again).bind(&old).execute(&db.pool).await.unwrap();
    assert_ne!(shown(db).await, before);
    assert!(verify::verify(&db.pool).await.unwrap().exact());
    let (codes, sql) = dangers(db).await;
    if has_identities {
        assert_eq!(codes, ["sealed_again"]);
        run(db, &sql.unwrap()).await;
    } else {
        assert_eq!(codes, [""; 0]);
        run(db, "delete from public.task_usage where created_at < '2026-02-01'").await;
    }
    assert_eq!(shown(db).await, before);
    assert_healthy(db).await;

    // The host goes on meanwhile, with late usage, moves and deletes.
    let writing = async {
        let mut host = db.connect().await;
        for writer in (0..4).cycle().take(200) {
            sqlx::query("select host.write($1)").bind(writer).execute(&mut host).await.unwrap();
        }
    };
    let options = Options { batch_rows: 3, ..Options::default() };
    let ((), meanwhile) = tokio::join!(writing, retain(db, options));
    let mut detached = report.detached;
    detached.extend(meanwhile.unwrap().detached);
    assert!(verify::verify(&db.pool).await.unwrap().exact());
    fold::drain(&db.pool).await.unwrap();
    assert!(verify::verify(&db.pool).await.unwrap().exact());
    detached
}

/// Leaves, which has to be meant.
async fn leave(db: &TestDatabase) {
    for (arguments, is_done, says) in
        [("migrate down --to 0", false, "would delete the sealed usage"), ("migrate down --to 0 --delete-usage", true, "")]
    {
        let output = Command::from(on(db, arguments)).output().await.unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.success(), told.contains(says)), (is_done, true), "{told}");
    }
}

#[tokio::test]
async fn a_platform_keeps_every_total_and_its_schema() {
    let (db, before) = covered(PLATFORM).await;
    let service = Service::start(&db, on(&db, "serve --listen 127.0.0.1:0 --background-backfill=false")).await;
    assert_eq!(service.report("mistral").await, "created");
    every_total_stays(&db, true).await;
    let sums = shown(&db).await;
    assert_eq!(service.report("mistral").await, "sealed");
    assert_eq!(shown(&db).await, sums);
    service.stop().await;
    leave(&db).await;
    assert_eq!(dump(&db).await, before);
}

#[tokio::test]
async fn loose_tables_of_odd_types_keep_every_total_and_their_schema() {
    let (db, before) = covered(LOOSE).await;
    assert_eq!(every_total_stays(&db, false).await, [""; 0]);
    leave(&db).await;
    assert_eq!(dump(&db).await, before);
}

#[tokio::test]
async fn partitions_that_were_sealed_go_and_doctor_knows_why() {
    let (db, before) = covered(PARTITIONED).await;
    let mut detached = every_total_stays(&db, false).await;
    detached.sort();
    assert_eq!(detached, ["task_usage_2026_01", "task_usage_old"]);
    let (codes, _) = dangers(&db).await;
    assert!(!codes.contains(&"partition_detached".to_owned()), "{codes:?}");
    leave(&db).await;
    // They are the host's, empty and without anything of ours: put back, all is as it was. Late usage of their days lies in its default partition.
    run(
        &db,
        "delete from public.task_usage where created_at < '2026-02-01';
         alter table public.task_usage attach partition public.task_usage_old for values from (minvalue) to ('2026-01-01');
         alter table public.task_usage attach partition public.task_usage_2026_01 for values from ('2026-01-01') to ('2026-02-01')",
    )
    .await;
    assert_eq!(dump(&db).await, before);
}

#[tokio::test]
async fn keys_that_refer_to_partitions_are_told_and_followed_if_that_is_meant() {
    let (db, _) = covered(PARTITIONED).await;
    run(
        &db,
        "create table public.receipt (usage_id uuid, used_at timestamptz, foreign key (usage_id, used_at) references public.task_usage on delete cascade);
         insert into public.receipt select id, created_at from public.task_usage",
    )
    .await;
    let old = number(&db, "select count(*) from public.receipt where used_at < '2026-02-01'").await;
    let all = number(&db, "select count(*) from public.receipt").await;
    let before = shown(&db).await;
    let refused = retain(&db, Options::default()).await.unwrap_err();
    assert!(matches!(&refused, Error::Referred(keys) if keys.len() == 1 && keys[0].rows == Some(old)), "{refused}");
    assert_eq!(number(&db, "select count(*) from tallybook.sealed_usage").await, 0);
    let report = retain(&db, Options { follow_foreign_keys: true, ..Options::default() }).await.unwrap();
    assert_eq!((report.rows_sealed(), report.detached.len()), (old, 2));
    assert_eq!(number(&db, "select count(*) from public.receipt").await, all - old);
    assert_eq!(shown(&db).await, before);
    assert_healthy(&db).await;
}

/// Sealing reads the host's tables by the names that they have.
#[tokio::test]
async fn renamed_columns_are_sealed_by_their_new_names() {
    let (db, _) = covered(PLATFORM).await;
    for (table, from, to) in [
        ("task_usage", "task_id", "task"),
        ("task_usage", "provider", "vendor"),
        ("task_usage", "created_at", "at"),
        ("task_usage", "model", "engine"),
        ("agent_task_queue", "id", "key"),
        ("agent_task_queue", "agent_id", "worker"),
        ("agent_task_queue", "issue_id", "ticket"),
        ("agent_task_queue", "runtime_id", "machine"),
        ("agent", "id", "key"),
        ("agent", "workspace_id", "tenant"),
        ("issue", "id", "key"),
        ("issue", "project_id", "board"),
    ] {
        run(&db, &format!("begin; alter table public.{table} rename {from} to {to}; select tallybook.follow_sources(); commit"))
            .await;
    }
    let before = shown(&db).await;
    let again = "create table host.again as select * from public.task_usage where at < '2026-02-01' limit 1";
    run(&db, again).await;
    let report = retain(&db, Options { batch_rows: 50, ..Options::default() }).await.unwrap();
    assert!(report.rows_sealed() > 100 && report.rows_left() == 0, "{report:?}");
    assert_eq!(shown(&db).await, before);
    assert!(verify::verify(&db.pool).await.unwrap().exact());
    run(&db, "insert into public.task_usage select * from host.again").await;
    let (codes, sql) = dangers(&db).await;
    assert_eq!(codes, ["sealed_again"]);
    run(&db, &sql.unwrap()).await;
    assert_eq!(shown(&db).await, before);
    // An agent that goes leaves what is sealed: that is noted, and can be taken along.
    run(&db, "delete from public.agent where key = host.id(3, 1)").await;
    let found = doctor::examine(&db.pool).await.unwrap();
    let orphans = found.findings.iter().find(|finding| finding.code == "sealed_orphans").unwrap();
    run(&db, orphans.sql.as_deref().unwrap()).await;
    assert!(verify::verify(&db.pool).await.unwrap().exact());
    assert_healthy(&db).await;
}
