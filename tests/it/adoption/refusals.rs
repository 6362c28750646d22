//! What cannot be adopted is told so, all of it at once, and nothing is changed.
use super::{LOOSE, PARTITIONED, PLATFORM, dump, host, run};
use crate::cli::transcript_on;
use tallybook::adopt::{self, Error, Patience, Severity};
use tallybook::db::migrate;
use tallybook::testing::{self, TestDatabase};

/// The codes and places of what stands in the way after `sql`, with which nothing is changed.
async fn obstacles(schema: &'static str, sql: &str) -> Vec<(String, String)> {
    let db = host(schema).await;
    run(&db, sql).await;
    let before = dump(&db).await;
    let report = adopt::check(&db.pool).await.unwrap();
    let refused = adopt::install(&db.pool, None, Patience::default(), drop).await.unwrap_err();
    // What else they tell, of rows and transactions, is of their moments.
    assert!(matches!(&refused, Error::Refused(told) if told.obstacles().eq(report.obstacles())), "{refused}");
    assert_eq!(dump(&db).await, before, "{sql}");
    assert!(report.findings.iter().filter(|f| f.severity == Severity::Obstacle).all(|f| !f.advice.is_empty()));
    report.obstacles().map(|finding| (finding.code.clone(), finding.place.clone())).collect()
}

#[tokio::test]
async fn whatever_stands_in_the_way_is_named() {
    for (schema, sql, code, place) in [
        (LOOSE, "drop table public.project", "table_missing", "table public.project"),
        (LOOSE, "alter table public.task_usage drop model, drop output_tokens", "column_missing", "table public.task_usage"),
        (LOOSE, "alter table public.task_usage alter input_tokens type text", "column_type", "column input_tokens of public.task_usage"),
        (LOOSE, "alter table public.issue alter project_id type text", "column_type", "column project_id of public.issue"),
        (LOOSE, "alter table public.task_usage alter created_at type text", "column_type", "column created_at of public.task_usage"),
        (LOOSE, "alter table public.agent drop constraint agent_pkey", "id_not_unique", "table public.agent"),
        (LOOSE, "alter table public.agent set unlogged", "table_kind", "table public.agent"),
        (LOOSE, "create table public.old_usage () inherits (public.task_usage)", "table_kind", "table public.task_usage"),
        (PLATFORM, "alter table public.issue rename to issues; create view public.issue as select * from public.issues", "table_kind", "table public.issue"),
        (LOOSE, "create schema tallybook; create table tallybook.notes (text text)", "name_taken", "schema tallybook"),
        (
            PLATFORM,
            "create trigger tallybook_insert before update on public.task_usage for each row execute function public.touch()",
            "name_taken",
            "trigger tallybook_insert on public.task_usage",
        ),
        (LOOSE, "create table public.tallybook_task_usage_time ()", "name_taken", "relation public.tallybook_task_usage_time"),
        (
            PARTITIONED,
            "alter table public.task_usage drop constraint task_usage_pkey; create extension postgres_fdw; create server elsewhere foreign data wrapper postgres_fdw;
             create foreign table public.task_usage_far partition of public.task_usage for values from ('2030-01-01') to ('2031-01-01') server elsewhere",
            "table_kind",
            "partition public.task_usage_far",
        ),
    ] {
        assert_eq!(obstacles(schema, sql).await, [(code.to_owned(), place.to_owned())], "{sql}");
    }
}

#[tokio::test]
async fn all_that_stands_in_the_way_is_told_at_once() {
    let found = obstacles(
        LOOSE,
        "drop table public.project; alter table public.agent set unlogged; alter table public.issue drop project_id; alter table public.task_usage alter input_tokens type text",
    )
    .await;
    let codes: Vec<&str> = found.iter().map(|(code, _)| code.as_str()).collect();
    assert_eq!(codes, ["column_missing", "column_type", "table_kind", "table_missing"]);
}

#[tokio::test]
async fn who_does_not_say_that_tables_are_to_be_adopted_is_told_how() {
    let db = host(LOOSE).await;
    let before = dump(&db).await;
    let refused = migrate::up(&db.pool).await.unwrap_err().to_string();
    assert!(refused.contains("public.task_usage") && refused.contains("`tallybook migrate up --adopt`"), "{refused}");
    let told = transcript_on(&db, "migrate up");
    assert!(
        told.contains("which Tallybook did not make") && told.contains("--adopt") && told.ends_with("--- exit 2\n"),
        "{told}"
    );
    assert_eq!(dump(&db).await, before);
}

#[tokio::test]
async fn nothing_and_our_own_tables_are_not_adopted() {
    let empty = testing::empty_database().await;
    let told = transcript_on(&empty, "migrate up --adopt");
    assert!(told.contains("OBSTACLE  table public.task_usage: it is not there") && told.ends_with("--- exit 2\n"), "{told}");
    assert!(migrate::status(&empty.pool).await.unwrap().iter().all(|m| m.state == migrate::State::Pending));
    let ours = testing::database().await;
    let told = transcript_on(&ours, "adopt --check");
    assert!(told.contains("Nothing to adopt: the tables are Tallybook's own.") && told.ends_with("--- exit 1\n"), "{told}");
    assert!(matches!(adopt::install(&ours.pool, None, Patience::default(), drop).await, Err(Error::Refused(_))));
    assert!(matches!(adopt::refresh(&ours.pool).await, Err(Error::Own)));
}

#[tokio::test]
async fn what_is_to_be_read_and_written_is_estimated_where_the_catalog_knows() {
    let db = testing::empty_database().await;
    run(&db, LOOSE).await;
    run(&db, "alter table public.task_usage set (autovacuum_enabled = false); alter table public.agent_task_queue set (autovacuum_enabled = false)").await;
    let told = async |code: &str| {
        let found = adopt::check(&db.pool).await.unwrap().findings;
        found.into_iter().find(|finding| finding.code == code).map(|finding| format!("{} {}", finding.what, finding.advice))
    };
    let builds = told("index_builds").await.unwrap();
    assert!(builds.contains("80 kB of disk") && builds.contains("0 rows, without tables that were never analyzed"), "{builds}");
    assert!(told("backfill").await.unwrap().contains("about 0 without what was never analyzed"));
    // A million rows: 28 bytes an entry of an id, 20 of a time, and a tenth of each page free.
    run(&db, "update pg_class set reltuples = 1000000 where relname in ('task_usage', 'agent_task_queue')").await;
    let builds = told("index_builds").await.unwrap();
    assert!(
        builds.contains("at most about 140 MB of disk") && builds.contains("together about 10,000,000 rows Estimated"),
        "{builds}"
    );
    assert!(told("backfill").await.unwrap().contains("about 1,000,000, day by day"));
    adopt::install(&db.pool, None, Patience::default(), drop).await.unwrap();
    assert_eq!((told("index_builds").await, told("backfill").await), (None, None), "there is nothing to come");
}

/// What a command said, but for the migrations, of which there will be more.
fn told(db: &TestDatabase, arguments: &str) -> String {
    let transcript = transcript_on(db, arguments);
    transcript.split_inclusive('\n').filter(|line| !line.starts_with("applied ") && !line.starts_with("reverted ")).collect()
}

#[tokio::test]
async fn the_commands_tell_what_they_do() {
    let db = host(PLATFORM).await;
    run(&db, "vacuum analyze").await;
    insta::assert_snapshot!(told(&db, "adopt --check"), @r#"
    table                    kind      captured      rows, about
    public.task_usage        ordinary  by statement          280
    public.agent_task_queue  ordinary  by row                 60
    public.agent             ordinary  by row                  5
    public.issue             ordinary  by row                  6

    NOTE      table public.task_usage: it has no column cache_write_1h_tokens: it counts as 0

    NOTE      table public.task_usage: it has no column cost_usd_ticks: all its tokens count as not priced by their provider

    NOTE      table public.task_usage: it has no column event_key: a task has one row for each provider and model

    NOTE      the indexes to be built: they take at most about 48 kB of disk, and as much WAL; each build reads its table twice, together about 800 rows
              Estimated from pg_class.reltuples. How long it takes depends on the disk, and on maintenance_work_mem (64MB): pg_stat_progress_create_index shows how far a build is.

    NOTE      table public.task_usage: the backfill will sum its rows, about 280, day by day; reads are exact before, during and after
              Once the database is adopted, `tallybook backfill --dry-run` tells about how long that takes, from a sample.

    To be built, concurrently:
      index tallybook_agent_task_queue_agent on public.agent_task_queue (agent_id)
      index tallybook_agent_task_queue_runtime on public.agent_task_queue (runtime_id)
      index tallybook_task_usage_time on public.task_usage (created_at)

    This database can be adopted: `tallybook migrate up --adopt` does it.
    --- exit 0
    "#);
    insta::assert_snapshot!(told(&db, "migrate up --adopt"), @r#"
    builds index tallybook_agent_task_queue_agent on public.agent_task_queue (agent_id)
    builds index tallybook_agent_task_queue_runtime on public.agent_task_queue (runtime_id)
    builds index tallybook_task_usage_time on public.task_usage (created_at)
    captures the changes of public.issue
    captures the changes of public.agent
    captures the changes of public.agent_task_queue
    captures the changes of public.task_usage
    Every change is captured from now on. Reads are exact; `tallybook serve`, or `tallybook backfill`, covers history.
    --- exit 0
    "#);
    insta::assert_snapshot!(told(&db, "migrate up --adopt"), @r#"
    Nothing to do: this database is adopted, and every migration is applied.
    --- exit 0
    "#);
    insta::assert_snapshot!(told(&db, "adopt --refresh"), @r#"
    Nothing to do: every column is where it was.
    --- exit 0
    "#);
    let report: serde_json::Value =
        serde_json::from_slice(&crate::cli::on(&db, "adopt --check --json").output().unwrap().stdout).unwrap();
    assert_eq!((&report["standing"], &report["can_be_adopted"]), (&"adopted".into(), &true.into()));
    run(&db, "alter table public.task_usage rename input_tokens to tokens_in").await;
    insta::assert_snapshot!(told(&db, "adopt --refresh"), @r#"
    column input_tokens of public.task_usage is called tokens_in now
    --- exit 0
    "#);
    run(&db, "alter table public.task_usage rename tokens_in to input_tokens").await;
    insta::assert_snapshot!(told(&db, "migrate down --to 0"), @r#"
    took the triggers off public.agent
    took the triggers off public.agent_task_queue
    took the triggers off public.issue
    took the triggers off public.task_usage
    drops index public.tallybook_agent_task_queue_agent
    drops index public.tallybook_agent_task_queue_runtime
    drops index public.tallybook_task_usage_time
    --- exit 0
    "#);
}
