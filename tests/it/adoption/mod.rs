//! Adoption: hosts' tables of several kinds, taken over while they are written, exact all the time, and left as they were found.
mod ddl;
mod kills;
mod locks;
mod refusals;
mod replication;
mod retention;
mod roles;
mod upgrades;

use crate::cli::on;
use crate::cli::serve::Serving;
use jiff::Timestamp;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor, PgConnection};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tallybook::adopt::{self, Patience, Standing};
use tallybook::db::migrate;
use tallybook::db::pool::PgPool;
use tallybook::doctor;
use tallybook::model::range::{Days, Range, Zone};
use tallybook::query::{Reading, Source, summary};
use tallybook::rollup::{backfill, fold, verify};
use tallybook::testing::{self, TestDatabase};
use tokio::process::Command;
use tokio::task::JoinSet;

const PLATFORM: &str = include_str!("hosts/platform.sql");
const LOOSE: &str = include_str!("hosts/loose.sql");
const PARTITIONED: &str = include_str!("hosts/partitioned.sql");
/// What the hosts do.
const WORLD: &str = include_str!("world.sql");
/// Sessions of a host that write at once.
const WRITERS: usize = 4;
/// How many of its statements each has done before the next step is taken.
const WRITES: u64 = 25;

/// A host's database, with usage in it.
async fn host(schema: &'static str) -> TestDatabase {
    let db = testing::empty_database().await;
    db.pool.execute(schema).await.unwrap();
    db.pool.execute(WORLD).await.unwrap();
    db
}

/// The same, adopted.
async fn adopted(schema: &'static str) -> TestDatabase {
    let db = host(schema).await;
    migrate::up_adopting_with(&db.pool, &crate::mutations::migrations()).await.unwrap();
    adopt::install(&db.pool, None, Patience::default(), drop).await.unwrap();
    db
}

async fn run(db: &TestDatabase, sql: &str) {
    db.pool.execute(AssertSqlSafe(sql.to_owned())).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

async fn strings(db: &TestDatabase, sql: &'static str) -> Vec<String> {
    sqlx::query_scalar(sql).fetch_all(&db.pool).await.unwrap()
}

/// The service beside a host, and one of its tasks.
struct Service {
    serving: Serving,
    token: String,
    task: String,
}

impl Service {
    async fn start(db: &TestDatabase, mut command: std::process::Command) -> Self {
        let created = on(db, "token create --name demo --scope ingest --all-workspaces --json").output().unwrap();
        let created: Value = serde_json::from_slice(&created.stdout).unwrap();
        let serving = tokio::task::spawn_blocking(move || Serving::start(&mut command)).await.unwrap();
        let task = sqlx::query_scalar("select id::text from public.agent_task_queue order by id limit 1").fetch_one(&db.pool);
        Self { serving, token: created["token"].as_str().unwrap().to_owned(), task: task.await.unwrap() }
    }

    /// Reports usage of some provider, and says what became of that, or the code of the problem.
    async fn report(&self, provider: &str) -> String {
        let url = format!("http://{}/v1/usage", self.serving.address);
        let authorization = format!("Bearer {}", self.token);
        let report = json!({ "reports": [{ "task_id": self.task, "provider": provider, "model": "large", "input_tokens": 7,
            "output_tokens": 0, "cache_read_tokens": 0, "cache_write_tokens": 0, "occurred_at": "2026-01-05T10:00:00Z" }] });
        let sent = tokio::task::spawn_blocking(move || {
            let request = ureq::post(url).config().http_status_as_error(false).build();
            let mut answer = request.header("authorization", authorization).send_json(report).unwrap();
            answer.body_mut().read_json::<Value>().unwrap()
        });
        let answer = sent.await.unwrap();
        answer["results"][0]["outcome"].as_str().or(answer["code"].as_str()).unwrap().to_owned()
    }

    async fn stop(self) {
        let (status, told) = tokio::task::spawn_blocking(move || self.serving.stop(Signal::SIGTERM)).await.unwrap();
        assert!(status.success(), "{told}");
    }
}

/// How many keys differ between what is shown and the raw rows.
async fn differing(on: &PgPool) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(include_str!("exact.sql")).fetch_one(on).await
}

async fn assert_exact(db: &TestDatabase) {
    assert_eq!(differing(&db.pool).await.unwrap(), 0);
    assert!(verify::verify(&db.pool).await.unwrap().exact());
}

/// The schema as `pg_dump` writes it, byte for byte but for the words that keep a dump from being meddled with, which are new each time.
pub(crate) async fn dump(db: &TestDatabase) -> String {
    let found = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/postgres-bin")).output().await.unwrap();
    let bin = PathBuf::from(String::from_utf8(found.stdout).unwrap().trim());
    let url = std::env::var(testing::URL_VARIABLE).unwrap();
    let name: String = sqlx::query_scalar("select current_database()::text").fetch_one(&db.pool).await.unwrap();
    let address = format!("{}/{name}", url.rsplit_once('/').unwrap().0);
    let output = Command::new(bin.join("pg_dump")).args(["--schema-only", "--dbname", &address]).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .filter(|line| !line.starts_with("\\restrict") && !line.starts_with("\\unrestrict"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// A host at work: writers that meet no error, and a reader who compares all the time.
struct Work {
    tasks: JoinSet<()>,
    state: Arc<State>,
}

/// What those who work and the test tell each other.
#[derive(Default)]
struct State {
    /// What each writer, and then the reader, has done.
    counts: [AtomicU64; WRITERS + 1],
    /// The views may go.
    is_leaving: AtomicBool,
    is_over: AtomicBool,
}

impl Work {
    async fn begin(db: &TestDatabase) -> Self {
        let mut work = Self { tasks: JoinSet::new(), state: Arc::default() };
        for writer in 0..WRITERS {
            let (mut session, state) = (db.connect().await, Arc::clone(&work.state));
            work.tasks.spawn(async move {
                while !state.is_over.load(Ordering::Relaxed) {
                    let write = sqlx::query("select host.write($1)").bind(i32::try_from(writer).unwrap());
                    write.execute(&mut session).await.unwrap();
                    state.counts[writer].fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let (pool, state) = (db.pool.clone(), Arc::clone(&work.state));
        work.tasks.spawn(async move {
            while !state.is_over.load(Ordering::Relaxed) {
                let is_there = "select to_regclass('tallybook.task_usage_quarter_hour_now') is not null";
                if sqlx::query_scalar(is_there).fetch_one(&pool).await.unwrap() {
                    match differing(&pool).await {
                        Ok(differing) => assert_eq!(differing, 0, "what is shown is not what is there"),
                        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("40001") => {}
                        Err(error) => assert!(state.is_leaving.load(Ordering::Relaxed), "{error}"),
                    }
                }
                state.counts[WRITERS].fetch_add(1, Ordering::Relaxed);
            }
        });
        work
    }

    /// Waits until everybody has done some more.
    async fn go_on(&mut self) {
        let counts = &self.state.counts;
        let before: Vec<u64> = counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        let wanted = |n: usize| if n == WRITERS { 2 } else { WRITES };
        while counts.iter().enumerate().any(|(n, count)| count.load(Ordering::Relaxed) < before[n] + wanted(n)) {
            assert!(self.tasks.try_join_next().is_none(), "somebody stopped");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    async fn end(self) {
        self.state.is_over.store(true, Ordering::Relaxed);
        self.tasks.join_all().await;
    }
}

/// Everything from before the first look to after the last, under a host's writes.
async fn is_taken_over_and_left(schema: &'static str, captured_by: &str, indexes: &[&str]) {
    let db = host(schema).await;
    let before = dump(&db).await;
    let found = adopt::check(&db.pool).await.unwrap();
    assert_eq!((found.standing, found.can_be_adopted), (Standing::NotAdopted, true), "{found:#?}");
    assert_eq!(found.tables[0].captured_by, captured_by);
    assert_eq!(found.indexes, indexes);
    assert_eq!(dump(&db).await, before, "a look changes nothing");

    let mut work = Work::begin(&db).await;
    work.go_on().await;
    let adopted = adopt::install(&db.pool, None, Patience::default(), drop).await.unwrap();
    assert_eq!((adopted.standing, adopted.indexes.as_slice()), (Standing::Adopted, [].as_slice()));
    work.go_on().await;
    fold::tick(&db.pool).await.unwrap();
    work.go_on().await;
    backfill::run(&db.pool, 100, |_| {}).await.unwrap();
    work.go_on().await;
    fold::tick(&db.pool).await.unwrap();
    // Later upgrades, and a service that starts, find all in place.
    migrate::up(&db.pool).await.unwrap();
    let mut steps = Vec::new();
    adopt::install(&db.pool, None, Patience::default(), |step| steps.push(step)).await.unwrap();
    assert_eq!(steps, [""; 0], "nothing is done twice");
    work.go_on().await;
    work.state.is_leaving.store(true, Ordering::Relaxed);
    adopt::remove(&db.pool, 0, Patience::default(), drop).await.unwrap();
    work.go_on().await;
    work.end().await;
    assert_eq!(dump(&db).await, before, "the host's side is as it was, byte for byte");

    // The same again, at rest.
    adopt::install(&db.pool, None, Patience::default(), drop).await.unwrap();
    assert_exact(&db).await;
    backfill::run(&db.pool, 1000, |_| {}).await.unwrap();
    fold::drain(&db.pool).await.unwrap();
    assert_exact(&db).await;
    assert_healthy(&db).await;
    adopt::remove(&db.pool, 1, Patience::default(), drop).await.unwrap();
    adopt::remove(&db.pool, 0, Patience::default(), drop).await.unwrap();
    assert_eq!(dump(&db).await, before);
}

/// Nothing that endangers exactness, and all that the migrations make.
async fn assert_healthy(db: &TestDatabase) {
    let report = doctor::examine(&db.pool).await.unwrap();
    assert!(report.healthy(), "{report:#?}");
    assert_eq!(report.unchecked, []);
    assert!(report.findings.iter().all(|finding| !finding.code.starts_with("index_")), "{report:#?}");
    assert_eq!(read_from(db).await, Source::Daily);
}

/// Where the service reads sums.
async fn read_from(db: &TestDatabase) -> Source {
    let range = Range::last(Days::new(1).unwrap(), &Zone::utc(), Timestamp::UNIX_EPOCH).unwrap();
    let question = summary::Question { range, workspace: None, runtime: None, by: BTreeSet::new() };
    summary::summary(&db.pool, Reading::Rollups, &question).await.unwrap().source
}

#[tokio::test]
async fn m01_a_platform_is_taken_over_and_left_while_it_writes() {
    let indexes = [
        "index tallybook_agent_task_queue_agent on public.agent_task_queue (agent_id)",
        "index tallybook_agent_task_queue_runtime on public.agent_task_queue (runtime_id)",
        "index tallybook_task_usage_time on public.task_usage (created_at)",
    ];
    is_taken_over_and_left(PLATFORM, "statement", &indexes).await;
}

#[tokio::test]
async fn m01_loose_tables_of_odd_types_are_taken_over_and_left_while_they_are_written() {
    let indexes = [
        "index tallybook_agent_task_queue_agent on public.agent_task_queue (agent_id)",
        "index tallybook_agent_task_queue_issue on public.agent_task_queue (issue_id)",
        "index tallybook_agent_task_queue_runtime on public.agent_task_queue (runtime_id)",
        "index tallybook_task_usage_task on public.task_usage (task_id)",
        "index tallybook_task_usage_time on public.task_usage (timezone('UTC', created_at))",
    ];
    is_taken_over_and_left(LOOSE, "statement", &indexes).await;
}

#[tokio::test]
async fn m01_partitions_are_taken_over_and_left_while_they_are_written() {
    let indexes = [
        "index tallybook_agent_task_queue_agent on public.agent_task_queue (agent_id)",
        "index tallybook_agent_task_queue_issue on public.agent_task_queue (issue_id)",
        "index tallybook_agent_task_queue_runtime on public.agent_task_queue (runtime_id)",
        "index tallybook_task_usage_task on public.task_usage (task_id)",
        "index tallybook_task_usage_time on public.task_usage (created_at)",
    ];
    is_taken_over_and_left(PARTITIONED, "row", &indexes).await;
}

/// Each session's time zone is its own, and a time without zone is UTC in all of them.
#[tokio::test]
async fn r07_times_without_zone_are_utc_whatever_the_session_says() {
    let db = adopted(LOOSE).await;
    backfill::run(&db.pool, 1000, |_| {}).await.unwrap();
    for zone in ["Asia/Kolkata", "America/Los_Angeles"] {
        let mut session: PgConnection = db.connect().await;
        session.execute(AssertSqlSafe(format!("set timezone = '{zone}'"))).await.unwrap();
        for _ in 0..20 {
            session.execute("select host.write(1)").await.unwrap();
        }
        session.execute("select tallybook.fold(1, 1000)").await.unwrap();
        let differing: i64 = sqlx::query_scalar(include_str!("exact.sql")).fetch_one(&mut session).await.unwrap();
        assert_eq!(differing, 0);
    }
    let index = "explain (costs off) select max(happened_at) from tallybook.usage_rows() where happened_at < '2026-01-01'";
    let mut session = db.connect().await;
    session.execute("set enable_seqscan = off").await.unwrap();
    let plan: Vec<String> = sqlx::query_scalar(index).fetch_all(&mut session).await.unwrap();
    assert!(plan.iter().any(|line| line.contains("tallybook_task_usage_time")), "{plan:#?}");
}

/// Usage by row and by statement come to the same on the host's tables, too.
#[tokio::test]
async fn the_form_may_be_chosen() {
    let db = host(LOOSE).await;
    migrate::up_adopting_with(&db.pool, &crate::mutations::migrations()).await.unwrap();
    adopt::install(&db.pool, Some(adopt::Form::Row), Patience::default(), drop).await.unwrap();
    backfill::run(&db.pool, 1000, |_| {}).await.unwrap();
    for form in ["statement", "row", "statement"] {
        for writer in 0..WRITERS {
            run(&db, &format!("select count(host.write({writer})) from generate_series(1, 40)")).await;
        }
        assert_exact(&db).await;
        fold::drain(&db.pool).await.unwrap();
        assert_exact(&db).await;
        run(&db, &format!("select tallybook.capture_usage_by('{form}')")).await;
    }
}

#[tokio::test]
async fn the_form_may_be_changed_on_a_database_that_is_adopted() {
    let db = adopted(LOOSE).await;
    backfill::run(&db.pool, 1000, |_| {}).await.unwrap();
    // What the type of a trigger says of it. Deletions are by statement in either form.
    let by_row = "select array[bool_and(tgtype & 1 = 1) filter (where tgname <> 'tallybook_delete'), bool_or(tgtype & 1 = 1 and tgname = 'tallybook_delete')]
                  from pg_trigger where tgrelid = 'public.task_usage'::regclass and tgname ~ '^tallybook_(insert|update|delete)$'";
    for (form, is_by_row) in [(adopt::Form::Row, true), (adopt::Form::Statement, false)] {
        let mut work = Work::begin(&db).await;
        work.go_on().await;
        for told in [
            vec![format!("captures the changes of public.task_usage by {}", if is_by_row { "row" } else { "statement" })],
            vec![],
        ] {
            let mut steps = Vec::new();
            adopt::install(&db.pool, Some(form), Patience::default(), |step| steps.push(step)).await.unwrap();
            steps.retain(|step| !step.starts_with("waiting for"));
            assert_eq!(steps, told);
        }
        work.go_on().await;
        work.end().await;
        assert_eq!(sqlx::query_scalar::<_, Vec<bool>>(by_row).fetch_one(&db.pool).await.unwrap(), [is_by_row, false]);
        // Whoever does not say it leaves it as it is.
        let mut steps = Vec::new();
        adopt::install(&db.pool, None, Patience::default(), |step| steps.push(step)).await.unwrap();
        assert_eq!(steps, [""; 0]);
        fold::drain(&db.pool).await.unwrap();
        assert_exact(&db).await;
        assert_healthy(&db).await;
    }
}
