//! A PostgreSQL database of its own for every test, cloned from a migrated template.
//!
//! `make test` starts a throwaway cluster and names it in `TALLYBOOK_TEST_DATABASE_URL`; any server on
//! which that URL's user may create databases will do.
#[cfg(test)]
pub(crate) mod hostile;
pub mod results;

use crate::adopt;
use crate::db::migrate;
use crate::db::pool::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use std::collections::BTreeMap;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;
use tokio::sync::OnceCell;

/// Names the server to use.
pub const URL_VARIABLE: &str = "TALLYBOOK_TEST_DATABASE_URL";
/// Names a database to clone in the place of the migrated one.
pub const TEMPLATE_VARIABLE: &str = "TALLYBOOK_TEST_TEMPLATE";
/// Connections of a test's own pool.
const CONNECTIONS_MAX: u32 = 16;
/// Guards the making of the template, in the maintenance database.
const TEMPLATE_LOCK: i64 = 0x7a11_b00c;

/// A database that is dropped when the test ends.
pub struct TestDatabase {
    /// Connections to it.
    pub pool: PgPool,
    options: PgConnectOptions,
    name: String,
}

impl TestDatabase {
    /// How to connect to it.
    pub fn options(&self) -> PgConnectOptions {
        self.options.clone()
    }

    /// A connection outside the pool.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn connect(&self) -> PgConnection {
        PgConnection::connect_with(&self.options).await.expect("the test's database accepts connections")
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let name = std::mem::take(&mut self.name);
        let (done, is_done) = mpsc::channel::<()>();
        // The test's runtime is about to end: drop the database from a runtime of our own.
        std::thread::spawn(move || {
            let dropping = || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                runtime.block_on(async {
                    let mut server = maintenance().await;
                    server.execute(AssertSqlSafe(format!("drop database if exists {name} with (force)"))).await
                })?;
                Ok::<_, Box<dyn std::error::Error>>(())
            };
            if let Err(error) = dropping() {
                tracing::warn!(%error, "a test's database was left behind");
            }
            drop(done);
        });
        // The server may have to wait for a session that the test's runtime was about to begin, and that runtime stands still until we return.
        let _: Result<(), RecvTimeoutError> = is_done.recv_timeout(Duration::from_secs(1));
    }
}

/// A database with all migrations applied.
pub async fn database() -> TestDatabase {
    static TEMPLATE: OnceCell<String> = OnceCell::const_new();
    let template = TEMPLATE.get_or_init(template).await;
    create(&format!("template {template} strategy file_copy")).await
}

/// A database with nothing in it.
pub async fn empty_database() -> TestDatabase {
    empty_database_with("").await
}

/// A database whose source tables somebody else has made, with Tallybook beside them and one of each thing.
///
/// # Panics
/// When it cannot be made.
pub async fn adopted_database() -> TestDatabase {
    let database = empty_database().await;
    for host in [include_str!("host.sql"), include_str!("host_fleet.sql")] {
        database.pool.execute(host).await.expect("the host's tables");
    }
    adopt::install(&database.pool, None, adopt::Patience::default(), drop).await.expect("Tallybook beside the host's tables");
    database
}

/// The same with options of `create database`, such as another locale.
pub async fn empty_database_with(options: &str) -> TestDatabase {
    create(&format!("template template0 strategy file_copy {options}")).await
}

/// How to connect to the server.
///
/// # Panics
/// When the environment does not name one.
pub fn server_options() -> PgConnectOptions {
    let url = std::env::var(URL_VARIABLE).unwrap_or_else(|_| panic!("{URL_VARIABLE} is not set: run the tests with `make test`"));
    url.parse().unwrap_or_else(|e| panic!("{URL_VARIABLE} is not a PostgreSQL URL: {e}"))
}

async fn maintenance() -> PgConnection {
    PgConnection::connect_with(&server_options()).await.unwrap_or_else(|e| panic!("{URL_VARIABLE} does not answer: {e}"))
}

async fn create(clause: &str) -> TestDatabase {
    let name = format!("test_{}", uuid::Uuid::new_v4().simple());
    maintenance()
        .await
        .execute(AssertSqlSafe(format!("create database {name} {clause}")))
        .await
        .expect("the server lets tests create databases");
    let options = server_options().database(&name).options([("TimeZone", "UTC")]);
    let pool = PgPoolOptions::new()
        .max_connections(CONNECTIONS_MAX)
        .acquire_timeout(Duration::from_secs(30))
        .connect_lazy_with(options.clone())
        .into();
    TestDatabase { pool, options, name }
}

/// The template's name. It is made once per set of migrations, by whoever comes first.
async fn template() -> String {
    if let Ok(name) = std::env::var(TEMPLATE_VARIABLE) {
        return name;
    }
    let name = format!("tallybook_template_{}", migrate::fingerprint());
    let mut server = maintenance().await;
    sqlx::query("select pg_advisory_lock($1)").bind(TEMPLATE_LOCK).execute(&mut server).await.expect("advisory lock");
    let exists: bool = sqlx::query_scalar("select exists (select from pg_database where datname = $1 and datistemplate)")
        .bind(&name)
        .fetch_one(&mut server)
        .await
        .expect("list of databases");
    if !exists {
        make_template(&name, &migrate::texts().collect()).await;
    }
    name
}

/// Makes a template of the migrations with these texts.
///
/// # Panics
/// When they do not apply to an empty database.
pub async fn make_template(name: &str, texts: &BTreeMap<i64, String>) {
    let mut server = maintenance().await;
    for statement in
        [format!("drop database if exists {name} with (force)"), format!("create database {name} template template0")]
    {
        server.execute(AssertSqlSafe(statement)).await.expect("the server lets tests create databases");
    }
    let pool = PgPool::from(PgPoolOptions::new().max_connections(1).connect_lazy_with(server_options().database(name)));
    migrate::up_with(&pool, texts).await.unwrap_or_else(|error| panic!("the migrations of {name} do not apply: {error}"));
    pool.close().await;
    server.execute(AssertSqlSafe(format!("alter database {name} is_template true"))).await.expect("mark the template");
}
