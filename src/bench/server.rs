//! The databases that a run makes on a server, and their end: none is left behind, not even by a run that was killed.
//!
//! Each is called `tallybook_bench_*`; nothing of another name is ever dropped.
use super::Error;
use crate::db::pool::{self, PgPool};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How the databases' names begin.
const PREFIX: &str = "tallybook_bench_";
/// What our sessions call themselves.
const APPLICATION: &str = "tallybook bench";
/// How long a session that was ended may take to go: the copy of a large database is taken back first.
const GOING_MAX: Duration = Duration::from_mins(1);
/// How often to look whether it has gone.
const GOING_LOOK: Duration = Duration::from_millis(20);
/// The database that every server has.
const MEETING_PLACE: &str = "postgres";
/// Held by the run that is at work on a server.
const LOCK_KEY: i64 = 0x7a11_be4c;

/// A server on which this run alone makes databases.
pub(super) struct Server {
    options: PgConnectOptions,
    /// Holds the lock for as long as it is open.
    _holder: PgConnection,
    copies: AtomicU64,
}

/// A database of this run's.
#[derive(Clone, Debug)]
pub(super) struct Database {
    pub(super) name: String,
    options: PgConnectOptions,
}

impl Server {
    /// Connects, and removes what a run that was killed has left.
    pub(super) async fn open(options: PgConnectOptions) -> Result<Self, Error> {
        let options = options
            .application_name(APPLICATION)
            .options([("TimeZone", "UTC"), ("client_min_messages", "warning")])
            .disable_statement_logging();
        // Locks are a database's: all runs on a server meet in this one.
        let meeting = options.clone().database(MEETING_PLACE).application_name("tallybook bench, holding its lock");
        let mut holder = PgConnection::connect_with(&meeting).await?;
        let (role, may): (String, bool) =
            sqlx::query_as("select rolname::text, rolcreatedb or rolsuper from pg_roles where rolname = current_user")
                .fetch_one(&mut holder)
                .await?;
        if !may {
            return Err(Error::NoRight { role });
        }
        let is_alone: bool = sqlx::query_scalar("select pg_try_advisory_lock($1)").bind(LOCK_KEY).fetch_one(&mut holder).await?;
        if !is_alone {
            return Err(Error::Busy);
        }
        let server = Self { options, _holder: holder, copies: AtomicU64::new(0) };
        server.clean().await?;
        Ok(server)
    }

    /// Whether there is a database of this name, made by this run.
    pub(super) async fn has(&self, name: &str) -> Result<bool, sqlx::Error> {
        let mut conn = self.connect().await?;
        sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
            .bind(format!("{PREFIX}{name}"))
            .fetch_one(&mut conn)
            .await
    }

    /// The database of this name.
    pub(super) fn database(&self, name: &str) -> Database {
        let name = format!("{PREFIX}{name}");
        Database { options: self.options.clone().database(&name), name }
    }

    /// A database with nothing in it.
    pub(super) async fn create(&self, name: &str) -> Result<Database, sqlx::Error> {
        self.make(name, "template0").await
    }

    /// A database of its own with all that `original` holds, to whose files nobody may be connected.
    pub(super) async fn copy(&self, original: &Database) -> Result<Database, sqlx::Error> {
        let number = self.copies.fetch_add(1, Ordering::Relaxed);
        self.make(&format!("copy_{number}"), &original.name).await
    }

    /// The same under a name by which it is found again.
    pub(super) async fn copy_as(&self, name: &str, original: &Database) -> Result<Database, sqlx::Error> {
        self.make(name, &original.name).await
    }

    async fn make(&self, name: &str, template: &str) -> Result<Database, sqlx::Error> {
        let database = self.database(name);
        let name = &database.name;
        let statement = format!("create database {name} template {template} strategy file_copy");
        self.connect().await?.execute(AssertSqlSafe(statement)).await?;
        Ok(database)
    }

    /// Drops a database, whoever is connected to it.
    pub(super) async fn drop(&self, database: Database) -> Result<(), sqlx::Error> {
        let mut conn = self.connect().await?;
        conn.execute(AssertSqlSafe(format!("drop database if exists {} with (force)", database.name))).await.map(drop)
    }

    /// Drops every database that a run has made. What a run that was cut off was still doing there is ended first: it may be making one.
    pub(super) async fn clean(&self) -> Result<(), sqlx::Error> {
        let mut conn = PgConnection::connect_with(&self.options.clone().application_name("tallybook bench, cleaning up")).await?;
        let began = Instant::now();
        let end = "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = $1 and usename = current_user";
        while began.elapsed() < GOING_MAX && sqlx::query_scalar::<_, i64>(end).bind(APPLICATION).fetch_one(&mut conn).await? > 0 {
            tokio::time::sleep(GOING_LOOK).await;
        }
        let names: Vec<String> = sqlx::query_scalar(
            "select datname::text from pg_database where starts_with(datname::text, $1) and datdba = current_user::regrole",
        )
        .bind(PREFIX)
        .fetch_all(&mut conn)
        .await?;
        for name in names {
            conn.execute(AssertSqlSafe(format!("drop database if exists {name} with (force)"))).await?;
        }
        Ok(())
    }

    /// A session in the database that the run was given, for questions about the server.
    pub(super) async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        PgConnection::connect_with(&self.options).await
    }

    /// Whether the server's processes are this machine's.
    pub(super) fn is_local(&self) -> bool {
        self.options.get_socket().is_some()
            || matches!(self.options.get_host(), "localhost" | "127.0.0.1" | "::1")
            || self.options.get_host().starts_with('/')
    }
}

impl Database {
    /// Up to `connections` connections to it.
    pub(super) fn pool(&self, connections: u32) -> PgPool {
        pool::lazy(self.options.clone(), None, connections)
    }

    /// One connection to it.
    pub(super) async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        PgConnection::connect_with(&self.options).await
    }

    /// How to reach it, with its password, for a process of its own.
    pub(super) fn url(&self) -> String {
        self.options.to_url_lossy().to_string()
    }

    /// Runs a script in a session of its own.
    pub(super) async fn run(&self, script: &'static str) -> Result<(), sqlx::Error> {
        let mut conn = self.connect().await?;
        conn.execute(script).await?;
        conn.close().await
    }
}
