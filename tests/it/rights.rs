//! Least rights: who installs needs CREATE on the database and on schema public; the service runs as a role that has what
//! `tallybook rights` prints, and that role can do nothing else.
use crate::cli::{on, transcript};
use serde_json::{Value, json};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Executor};
use std::time::{Duration, Instant};
use tallybook::access::{self, New, Scope};
use tallybook::audit::Actor;
use tallybook::clock::Clock;
use tallybook::config::Place;
use tallybook::db::database::{Database, Schema};
use tallybook::db::pool::{self, PgPool};
use tallybook::doctor::{self, Severity};
use tallybook::rights;
use tallybook::rollup::{status, verify};
use tallybook::service::{Service, Settings};
use tallybook::testing::{self, TestDatabase};

/// Much longer than anything here takes when the machine is not busy.
const PATIENCE: Duration = Duration::from_mins(1);
/// How often to look for what is waited for.
const POLL: Duration = Duration::from_millis(20);
const TASK: &str = "00000000-0000-4000-8000-000000000004";

/// A role that can log in and has no right at all; dropped with all that it was granted.
struct Role {
    name: String,
    owner: PgPool,
    options: PgConnectOptions,
}

impl Role {
    async fn create(db: &TestDatabase) -> Self {
        let name = format!("serve_{}", uuid::Uuid::new_v4().simple());
        let role = Self { options: db.options().username(&name).password("secret"), owner: db.pool.clone(), name };
        role.as_owner(&format!("create role {} login password 'secret'", role.name)).await;
        role
    }

    async fn as_owner(&self, sql: &str) {
        self.owner.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// Gives it what it needs.
    async fn grant(&self) {
        for right in rights::of_service(&self.owner, &self.name).await.unwrap() {
            self.as_owner(&right.statement).await;
        }
    }

    /// What the command line says to it.
    fn told(&self, db: &TestDatabase, arguments: &str) -> String {
        transcript(on(db, arguments).env("DATABASE_URL", self.options.to_url_lossy().as_str()))
    }

    fn place(&self) -> Place {
        Place::from(self.options.clone())
    }

    async fn drop(self) {
        self.as_owner(&format!("drop owned by {0}; drop role {0}", self.name)).await;
    }
}

/// A request, off the threads of the runtime, and its answer.
async fn ask(method: &'static str, url: String, token: &str, body: Option<Value>) -> (u16, Value) {
    let authorization = format!("Bearer {token}");
    let asked = tokio::task::spawn_blocking(move || {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let mut answer = match (method, body) {
            ("GET", _) => agent.get(url).header("authorization", authorization).call(),
            ("DELETE", _) => agent.delete(url).header("authorization", authorization).call(),
            ("PUT", body) => agent.put(url).header("authorization", authorization).send_json(body),
            (_, body) => agent.post(url).header("authorization", authorization).send_json(body),
        }
        .unwrap();
        (answer.status().as_u16(), answer.body_mut().read_json().unwrap_or_default())
    });
    asked.await.unwrap()
}

async fn wait_until(owner: &PgPool, condition: &'static str) {
    let began = Instant::now();
    while !sqlx::query_scalar::<_, bool>(condition).fetch_one(owner).await.unwrap() {
        assert!(began.elapsed() < PATIENCE, "it does not come to be that {condition}");
        tokio::time::sleep(POLL).await;
    }
}

/// On a busy machine the database may not answer in the time that a probe has.
async fn wait_until_ready(base: &str, token: &str) {
    let began = Instant::now();
    loop {
        let (status, told) = ask("GET", format!("{base}/readyz"), token, None).await;
        if status == 200 {
            return;
        }
        let detail = told["detail"].as_str().unwrap_or_default();
        let is_slow = ["does not answer", "did not answer within"].iter().any(|slow| detail.contains(slow));
        assert!(is_slow && began.elapsed() < PATIENCE, "{told}");
        tokio::time::sleep(POLL).await;
    }
}

#[tokio::test]
async fn who_installs_needs_create_on_the_database_and_on_schema_public_and_no_more() {
    let db = testing::empty_database().await;
    let installer = Role::create(&db).await;
    let name = db.options().get_database().unwrap().to_owned();
    for place in [format!("database {name}"), "schema public".to_owned()] {
        let refused = installer.told(&db, "migrate up");
        let reason = format!("lets this role do too little: permission denied for {place}");
        assert!(refused.contains(&reason) && refused.ends_with("--- exit 2\n"), "{refused}");
        installer.as_owner(&format!("grant create on {place} to {}", installer.name)).await;
    }
    let done = |arguments: &str| {
        let told = installer.told(&db, arguments);
        assert!(told.ends_with("--- exit 0\n"), "{arguments}: {told}");
        told
    };
    assert!(done("migrate up").starts_with("applied 0001 source tables\n"));

    // All that the documents leave to this role.
    let pool = pool::lazy(installer.options.clone(), None, 2);
    pool.execute(include_str!("../../src/testing/one_task.sql")).await.unwrap();
    assert_eq!(done("fold"), "Folded: 2 rollup rows touched.\n--- exit 0\n");
    pool.execute("update tallybook.task_usage_daily set input_tokens = 11").await.unwrap();
    assert!(done("repair").ends_with("Exact now.\n--- exit 0\n"));
    pool.execute("select tallybook.create_rollup('hourly', '1 hour', array['agent_id', 'model'])").await.unwrap();
    assert!(done("backfill").starts_with("All history is covered: 1 raw row"));
    pool.execute("select tallybook.capture_usage_by('row')").await.unwrap();
    assert!(done("retain --raw 1d --quarter-hours 2d").starts_with("Sealed 1 raw row of 1 day"));
    done("token create --name ci --scope read --all-workspaces");
    assert!(done("audit --since 1h").contains("token.create"));
    done("status");
    assert!(done("verify").ends_with("Exact.\n--- exit 0\n"));
    let report = doctor::examine(&pool).await.unwrap();
    assert!(report.healthy() && report.unchecked.is_empty(), "{report:?}");
    assert!(!report.findings.iter().any(|finding| finding.code == "right_missing"), "{report:?}");

    // What it grants is enough for the service.
    let service = Role::create(&db).await;
    let statements = done(&format!("rights --role {}", service.name));
    pool.execute(sqlx::raw_sql(AssertSqlSafe(statements.split("--- exit").next().unwrap().to_owned()))).await.unwrap();
    done(&format!("rights --role {} --check", service.name));
    Database::open(&service.place(), Schema::Current).await.unwrap().close().await.unwrap();

    assert!(done("migrate down --to 0 --delete-usage").ends_with("reverted 0001 source tables\n--- exit 0\n"));
    pool.close().await;
    service.drop().await;
    installer.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_does_all_its_work_with_the_rights_that_are_printed() {
    let db = testing::database().await;
    db.pool.execute(include_str!("../../src/testing/one_task.sql")).await.unwrap();
    // Something to cover, and a now-view that reads raw rows until it is.
    db.pool.execute("select tallybook.create_rollup('hourly', '1 hour', array['agent_id', 'provider', 'model'])").await.unwrap();
    let role = Role::create(&db).await;
    role.grant().await;
    let made = |scopes: &[Scope]| New { name: "t".into(), workspace: None, scopes: scopes.to_vec(), expires_at: None };
    let (token, _) = access::create(&db.pool, &Clock::system(), &Actor::cli(), made(&[Scope::Admin])).await.unwrap();
    let token = token.reveal();

    let as_role = pool::lazy(role.options.clone(), None, 4);
    let rows: i64 = sqlx::query_scalar("select count(*) from tallybook.hourly_now").fetch_one(&as_role).await.unwrap();
    assert_eq!(rows, 1, "raw rows are read before they are covered");

    let service = Service::start(Settings::new(role.place(), "127.0.0.1:0".parse().unwrap())).await.unwrap();
    let base = format!("http://{}", service.address);
    wait_until_ready(&base, token).await;
    let report = json!({"reports": [{
        "task_id": TASK, "provider": "p", "model": "m", "input_tokens": 7, "output_tokens": 0, "cache_read_tokens": 0,
        "cache_write_tokens": 0, "task": {"workspace_id": "00000000-0000-4000-8000-000000000001", "agent": {"name": "new"},
            "runtime": {"name": "new"}, "issue": {"title": "new"}},
    }]});
    for _ in 0..2 {
        let (status, told) = ask("POST", format!("{base}/v1/usage"), token, Some(report.clone())).await;
        assert_eq!(status, 200, "{told}");
    }
    for kind in ["workspaces", "runtimes", "agents", "projects", "issues", "tasks"] {
        let (status, list) = ask("GET", format!("{base}/v1/{kind}"), token, None).await;
        assert_eq!(status, 200, "{list}");
        let Some(id) = list["items"][0]["id"].as_str().map(str::to_owned) else { continue };
        for path in ["", "/usage", "/usage/by-hour", "/usage/by-agent"] {
            let (status, told) = ask("GET", format!("{base}/v1/{kind}/{id}{path}"), token, None).await;
            assert!(status == 200 || (status == 404 && told["code"] == "unknown_route"), "{kind} {path}: {told}");
        }
    }
    let project = format!("{base}/v1/projects/{}", uuid::Uuid::new_v4());
    let body = json!({"workspace_id": "00000000-0000-4000-8000-000000000001", "title": "p"});
    assert_eq!(ask("PUT", project.clone(), token, Some(body)).await.0, 201);
    assert_eq!(ask("DELETE", project.clone(), token, None).await.0, 204);
    assert_eq!(ask("DELETE", format!("{project}?purge=true"), token, None).await.0, 204);

    wait_until(&db.pool, "select not tallybook.is_pending() and not exists (select from tallybook.rollup where reads_raw)").await;
    wait_until(&db.pool, "select checked_at is not null from tallybook.verify_state").await;
    assert!(verify::verify(&as_role).await.unwrap().exact());
    assert_eq!(status::status(&as_role).await.unwrap().last_run.error, None);
    let (_, purged) = ask("GET", format!("{base}/v1/audit?action=entity.purge"), token, None).await;
    assert_eq!((&purged["items"][0]["role"], &purged["items"][0]["via"]), (&json!(role.name), &json!("http")));
    let (status, metrics) = ask("GET", format!("{base}/metrics"), token, None).await;
    assert_eq!((status, metrics), (200, Value::Null), "it is no JSON");
    // Everything goes, by the purge of what it belongs to.
    let workspace = format!("{base}/v1/workspaces/00000000-0000-4000-8000-000000000001?purge=true");
    assert_eq!(ask("DELETE", workspace, token, None).await.0, 204);
    service.stop().await.unwrap();

    // Whoever looks after it finds no fault with its rights.
    for pool in [&db.pool, &as_role] {
        let found = doctor::examine(pool).await.unwrap().findings;
        let of_rights =
            found.iter().filter(|f| f.code == "right_missing" || (f.code == "table_open" && f.severity == Severity::Danger));
        assert_eq!(of_rights.collect::<Vec<_>>(), Vec::<&doctor::Finding>::new());
    }
    as_role.close().await;
    role.drop().await;
}

#[tokio::test]
async fn the_role_can_do_nothing_else() {
    let db = testing::database().await;
    db.pool.execute(include_str!("../../src/testing/one_task.sql")).await.unwrap();
    let role = Role::create(&db).await;
    role.grant().await;
    let pool = pool::lazy(role.options.clone(), None, 4);
    for refused in [
        "create table public.mine ()",
        "create table tallybook.mine ()",
        "create schema mine",
        "create function tallybook.mine() returns int language sql return 1",
        "drop table tallybook.drift",
        "alter table public.task_usage add mine int",
        "alter table public.task_usage disable trigger tallybook_insert",
        "set session_replication_role = replica",
        "truncate public.task_usage",
        "select digest from tallybook.access_token",
        "select id from tallybook.access_token",
        "insert into tallybook.access_token (name, digest, scopes) values ('mine', 'x', '{admin}')",
        "update tallybook.access_token set revoked_at = null",
        "insert into tallybook.audit_log (via, role, action, target) values ('cli', 'other', 'a.b', 'x')",
        "delete from tallybook.audit_log",
        "select from tallybook.task_usage_daily",
        "update tallybook.task_usage_daily set input_tokens = 0",
        "delete from tallybook.usage_change",
        "insert into tallybook.task_change default values",
        "delete from tallybook.migration",
        "update tallybook.rollup set covered_from = '-infinity'",
        "select tallybook.create_rollup('mine', '1 hour', array['agent_id', 'model'])",
        "select tallybook.drop_rollup('task_usage_daily')",
        "select tallybook.rebuild_rollup('task_usage_daily', '-infinity', 'infinity')",
        "select tallybook.seal('-infinity', '2026-01-01', null, 10)",
        "delete from tallybook.sealed_identity",
        "select tallybook.execute_sums('select 1')",
        "select tallybook.capture_usage_by('row')",
        "select tallybook.define_now_view('task_usage_daily')",
    ] {
        let error = pool.execute(refused).await.expect_err(refused);
        let code = error.as_database_error().and_then(|e| e.code().map(String::from));
        assert_eq!(code.as_deref(), Some("42501"), "{refused}: {error}");
    }
    // Nor by any right that nobody printed: of all functions it may call those, of all tables it may touch those.
    let printed = rights::of_service(&db.pool, &role.name).await.unwrap();
    let named =
        |kind: &str| printed.iter().filter(|right| right.kind == kind).map(|right| right.name.clone()).collect::<Vec<_>>();
    let functions: Vec<String> = sqlx::query_scalar(
        "select oid::regprocedure::text from pg_proc
         where pronamespace = 'tallybook'::regnamespace and has_function_privilege($1, oid, 'execute') order by 1",
    )
    .bind(&role.name)
    .fetch_all(&db.pool)
    .await
    .unwrap();
    let mut expected = named("function");
    expected.sort_unstable();
    assert_eq!(functions, expected);
    let tables: Vec<String> = sqlx::query_scalar(
        "select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where n.nspname = 'tallybook' and c.relkind in ('r', 'v', 'p', 'S')
           and has_table_privilege($1, c.oid, 'select, insert, update, delete, truncate, references, trigger') order by 1",
    )
    .bind(&role.name)
    .fetch_all(&db.pool)
    .await
    .unwrap();
    let mut expected: Vec<String> = named("table").into_iter().filter(|name| name.starts_with("tallybook.")).collect();
    expected.sort_unstable();
    assert_eq!(tables, expected);
    pool.close().await;
    role.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn m12_a_role_from_which_row_security_hides_rows_gets_no_sum_that_lacks_them() {
    let db = testing::database().await;
    db.pool.execute(include_str!("../../src/testing/one_task.sql")).await.unwrap();
    db.pool.execute("alter table public.task_usage enable row level security").await.unwrap();
    let role = Role::create(&db).await;
    role.grant().await;
    role.as_owner(&format!("alter role {} nobypassrls", role.name)).await;
    let made = New { name: "t".into(), workspace: None, scopes: vec![Scope::Read], expires_at: None };
    let (token, _) = access::create(&db.pool, &Clock::system(), &Actor::cli(), made).await.unwrap();
    let service = Service::start(Settings::new(role.place(), "127.0.0.1:0".parse().unwrap())).await.unwrap();
    let base = format!("http://{}", service.address);
    let usage = format!("{base}/v1/tasks/{TASK}/usage");
    // A sum without the hidden rows would be 200, and 0.
    let (status, told) = ask("GET", usage.clone(), token.reveal(), None).await;
    assert_eq!(status, 500, "{told}");
    let (status, told) = ask("GET", format!("{base}/readyz"), token.reveal(), None).await;
    assert!(
        status == 503 && told["detail"].as_str().unwrap().contains("row security would hide rows of public.task_usage"),
        "{told}"
    );
    let missing = rights::of_service(&db.pool, &role.name).await.unwrap();
    let missing: Vec<_> = missing.into_iter().filter(|right| !right.is_held).map(|right| right.statement).collect();
    assert_eq!(missing, [format!("alter role {} bypassrls", role.name)]);
    role.as_owner(&missing[0]).await;
    let (status, told) = ask("GET", usage, token.reveal(), None).await;
    assert!(status == 200 && told["total"]["input_tokens"] != 0, "{told}");
    service.stop().await.unwrap();
    role.drop().await;
}

#[tokio::test]
async fn what_a_role_lacks_is_said() {
    let db = testing::database().await;
    let role = Role::create(&db).await;
    let lacking = async |role: &Role| {
        let all = rights::of_service(&role.owner, &role.name).await.unwrap();
        all.into_iter().filter(|right| !right.is_held).map(|right| right.name).collect::<Vec<_>>()
    };
    assert!(lacking(&role).await.len() > 30);
    let told = Database::open(&role.place(), Schema::Current).await.unwrap_err().to_string();
    assert!(told.contains("lets this role do too little: permission denied for schema tallybook"), "{told}");
    assert!(told.contains("`tallybook rights`"), "{told}");

    role.grant().await;
    assert_eq!(lacking(&role).await, Vec::<String>::new());
    role.as_owner(&format!(
        "revoke execute on function tallybook.settle_views() from {0}; revoke delete on tallybook.drift from {0}",
        role.name
    ))
    .await;
    assert_eq!(lacking(&role).await, ["tallybook.drift", "tallybook.settle_views()"]);
    let as_role = pool::lazy(role.options.clone(), None, 4);
    let report = doctor::examine(&as_role).await.unwrap();
    let found: Vec<_> = report.findings.iter().filter(|f| f.code == "right_missing").map(|f| f.place.as_str()).collect();
    assert_eq!(found, ["function tallybook.settle_views()", "table tallybook.drift"]);
    assert!(report.unchecked.iter().any(|unchecked| unchecked.check == "schema"), "it cannot make the schema to compare with");

    // A migration is not its business.
    role.as_owner("delete from tallybook.migration where version = (select max(version) from tallybook.migration)").await;
    let started = Service::start(Settings::new(role.place(), "127.0.0.1:0".parse().unwrap())).await;
    let told = started.unwrap_err().to_string();
    assert!(told.contains("lets this role do too little") && told.contains("`tallybook migrate up`"), "{told}");
    let nobody = rights::of_service(&db.pool, "nobody \"of\" that name").await.unwrap();
    assert!(nobody.iter().all(|right| !right.is_held));
    as_role.close().await;
    role.drop().await;
}
