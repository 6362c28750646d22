//! Roles: who adopts need own no more than the tables, and who writes them needs nothing of ours.
use super::{LOOSE, PLATFORM, Service, TestDatabase, differing, host, run};
use crate::cli::on;
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection};
use std::time::Duration;
use tallybook::adopt::{self, Patience};
use tallybook::db::pool::PgPool;
use tallybook::rights;
use tallybook::rollup::{backfill, fold, verify};
use uuid::Uuid;

/// A role of this test's own, that may connect.
async fn role(db: &TestDatabase, kind: &str) -> String {
    let name = format!("{kind}_{}", Uuid::new_v4().simple());
    run(db, &format!("create role {name} login password 'secret'")).await;
    name
}

/// As the owner of all that the host has made, who is nobody special.
async fn owned(schema: &'static str) -> (TestDatabase, String, PgPool) {
    let db = host(schema).await;
    let owner = role(&db, "owner").await;
    let give: Vec<String> = sqlx::query_scalar(
        "select format('alter table public.%I owner to %I', relname, $1) from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')
         union all select format('grant create on database %I to %I; grant usage, create on schema public, host to %I', current_database(), $1, $1)",
    )
    .bind(&owner)
    .fetch_all(&db.pool)
    .await
    .unwrap();
    run(&db, &give.join("; ")).await;
    let options = db.options().username(&owner).password("secret");
    let pool = PgPoolOptions::new().max_connections(4).connect_lazy_with(options).into();
    (db, owner, pool)
}

async fn codes(pool: &PgPool) -> Vec<String> {
    adopt::check(pool).await.unwrap().obstacles().map(|finding| finding.code.clone()).collect()
}

async fn drop_roles(db: TestDatabase, roles: &[&str]) {
    for role in roles {
        run(&db, &format!("drop owned by {role} cascade; drop role {role}")).await;
    }
}

#[tokio::test]
async fn m12_row_security_that_would_hide_rows_is_refused_and_else_is_no_matter() {
    let (db, owner, pool) = owned(PLATFORM).await;
    let application = role(&db, "application").await;
    run(
        &db,
        &format!(
            "grant usage on schema public, host to {application}; grant select, insert, update, delete on all tables in schema public to {application};
             alter table public.task_usage force row level security; drop policy everything on public.task_usage;
             create policy shown on public.task_usage using (model <> 'hidden')"
        ),
    )
    .await;
    assert_eq!(codes(&pool).await, ["row_security"]);
    run(&db, "alter table public.task_usage no force row level security").await;
    assert_eq!(codes(&pool).await, [""; 0]);
    adopt::install(&pool, None, Patience::default(), drop).await.unwrap();
    // The application has no right on our schema, and its writes are captured.
    let mut writer = PgConnection::connect_with(&db.options().username(&application).password("secret")).await.unwrap();
    writer.execute("select count(host.write(n % 4)) from generate_series(1, 200) n").await.unwrap();
    let denied = writer.execute("select * from tallybook.usage_change").await.unwrap_err();
    assert_eq!(denied.as_database_error().unwrap().code().as_deref(), Some("42501"));
    assert_eq!(differing(&pool).await.unwrap(), 0);
    backfill::run(&pool, 1000, |_| {}).await.unwrap();
    writer.execute("select count(host.write(n % 4)) from generate_series(1, 200) n").await.unwrap();
    // A rename is no reason for its writes to fail, either.
    run(&db, "alter table public.agent rename workspace_id to tenant").await;
    writer.execute("update public.agent set tenant = host.any_of(1, 2)").await.unwrap();
    fold::tick(&pool).await.unwrap();
    run(&db, "alter table public.agent rename tenant to workspace_id").await;
    adopt::refresh(&pool).await.unwrap();
    assert_eq!(differing(&pool).await.unwrap(), 0);
    adopt::remove(&pool, 0, Patience::default(), drop).await.unwrap();
    writer.execute("select host.write(1)").await.unwrap();
    writer.close().await.unwrap();
    pool.close().await;
    drop_roles(db, &[&application, &owner]).await;
}

#[tokio::test]
async fn the_role_that_serves_needs_no_more_on_a_host_s_tables_than_is_printed() {
    let (db, owner, pool) = owned(PLATFORM).await;
    adopt::install(&pool, None, Patience::default(), drop).await.unwrap();
    let serving = role(&db, "serving").await;
    for right in rights::of_service(&pool, &serving).await.unwrap() {
        // Past row security a superuser alone may let somebody.
        let by = if right.statement.contains("bypassrls") { &db.pool } else { &pool };
        by.execute(AssertSqlSafe(right.statement)).await.unwrap();
    }
    let options = db.options().username(&serving).password("secret");
    let mut command = on(&db, "serve --listen 127.0.0.1:0");
    command.env("DATABASE_URL", options.to_url_lossy().as_str());
    let service = Service::start(&db, command).await;
    let wait_until = async |condition: &'static str| {
        while !sqlx::query_scalar::<_, bool>(condition).fetch_one(&db.pool).await.unwrap() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    wait_until("select bool_and(covered_from = '-infinity') from tallybook.rollup").await;
    run(&db, "select count(host.write(n % 4)) from generate_series(1, 100) n").await;
    // What the host's own triggers write is written as who sets them off.
    assert_eq!(service.report("mistral").await, "right_missing");
    run(&db, &format!("grant insert on public.usage_log to {serving}")).await;
    assert_eq!(service.report("mistral").await, "created");
    // What the host renames is followed, and what was missed meanwhile is covered again.
    run(&db, "alter table public.agent rename workspace_id to tenant; update public.agent set tenant = host.id(1, 1)").await;
    wait_until(
        "select not exists (select from tallybook.capture_break) and bool_and(covered_from = '-infinity') from tallybook.rollup",
    )
    .await;
    // Reports are not placed by a column that is called otherwise.
    assert_eq!(service.report("another").await, "refused_by_source");
    run(&db, "alter table public.agent rename tenant to workspace_id").await;
    assert_eq!(service.report("another").await, "created");
    wait_until("select not tallybook.is_pending()").await;
    let service_pool: PgPool = PgPoolOptions::new().max_connections(2).connect_lazy_with(options).into();
    assert!(verify::verify(&service_pool).await.unwrap().exact());
    service.stop().await;
    service_pool.close().await;
    pool.close().await;
    drop_roles(db, &[&serving, &owner]).await;
}

#[tokio::test]
async fn who_lacks_a_right_is_told_which() {
    let db = host(LOOSE).await;
    let stranger = role(&db, "stranger").await;
    let pool: PgPool =
        PgPoolOptions::new().max_connections(2).connect_lazy_with(db.options().username(&stranger).password("secret")).into();
    let report = adopt::check(&pool).await.unwrap();
    let name: String = sqlx::query_scalar("select current_database()::text").fetch_one(&db.pool).await.unwrap();
    let told: Vec<&str> = report.obstacles().map(|finding| finding.what.as_str()).collect();
    assert!(told.contains(&format!("role {stranger} may not create schema tallybook in it").as_str()), "{told:#?}");
    assert_eq!(told.iter().filter(|what| what.contains("does not own it")).count(), 4);
    assert_eq!(told.iter().filter(|what| what.contains("may not read it")).count(), 7);
    run(
        &db,
        &format!("grant create on database {name} to {stranger}; grant select on all tables in schema public to {stranger}"),
    )
    .await;
    assert_eq!(codes(&pool).await, ["right_missing"; 4]);
    let owner: String = sqlx::query_scalar("select current_user::text").fetch_one(&db.pool).await.unwrap();
    db.pool.execute(AssertSqlSafe(format!("grant {owner} to {stranger}"))).await.unwrap();
    assert_eq!(codes(&pool).await, [""; 0]);
    pool.close().await;
    drop_roles(db, &[&stranger]).await;
}
