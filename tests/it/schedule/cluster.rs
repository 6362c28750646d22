//! A PostgreSQL of a test's own that has pg_cron.
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use tallybook::db::pool::PgPool;
use tallybook::embedded::PrivatePostgres;
use tempfile::TempDir;

/// The database in which everything is, and its owner.
pub(crate) const DATABASE: &str = "tallybook";
/// How long anything may take that is waited for: pg_cron begins at full minutes.
const PATIENCE: Duration = Duration::from_mins(2);
const POLL: Duration = Duration::from_millis(50);

pub(crate) struct Cluster {
    postgres: PrivatePostgres,
    directory: TempDir,
}

impl Cluster {
    /// Starts a cluster with these settings.
    pub(crate) fn start(settings: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        // The server's user must reach it, also when we are root.
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
        let postgres = PrivatePostgres::join(directory.path()).unwrap();
        if settings.is_empty() {
            return Self { postgres, directory };
        }
        postgres.stop().unwrap();
        let local = directory.path().join("postgres/local.conf");
        fs::write(&local, settings).unwrap();
        fs::set_permissions(&local, Permissions::from_mode(0o644)).unwrap();
        Self { postgres: PrivatePostgres::join(directory.path()).unwrap(), directory }
    }

    /// One whose pg_cron works in our database.
    pub(crate) fn with_pg_cron() -> Self {
        Self::start(&pg_cron_in(DATABASE))
    }

    /// Stops and starts the server: jobs at `@reboot` run then.
    pub(crate) fn restart(&mut self) {
        self.postgres.stop().unwrap();
        self.postgres = PrivatePostgres::join(self.directory.path()).unwrap();
    }

    pub(crate) fn options(&self) -> PgConnectOptions {
        self.postgres.connect_options()
    }

    pub(crate) fn pool(&self) -> PgPool {
        // Not as the service has it: pg_cron's record is read, too, of which policies show each role its own.
        PgPoolOptions::new().max_connections(8).connect_lazy_with(self.options().options([("TimeZone", "UTC")])).into()
    }

    /// Runs SQL as a superuser.
    pub(crate) async fn as_superuser(&self, database: &str, sql: &str) {
        let mut connection = PgConnection::connect_with(&self.options().username("postgres").database(database)).await.unwrap();
        connection.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await.unwrap();
    }

    /// Makes pg_cron usable for our role, as an administrator would.
    pub(crate) async fn create_pg_cron(&self, database: &str) {
        self.as_superuser(
            database,
            "create extension pg_cron;
             grant usage on schema cron to tallybook;
             grant execute on function cron.alter_job(bigint, text, text, text, text, boolean) to tallybook;
             grant execute on function cron.schedule_in_database(text, text, text, text, text, boolean) to tallybook;
             grant pg_read_all_settings, pg_read_all_stats to tallybook",
        )
        .await;
    }

    /// The command line on it.
    pub(crate) fn on(&self, arguments: &[&str]) -> Command {
        let mut command = crate::cli::in_directory(self.path(), "");
        command.args(arguments);
        command
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }
}

/// The settings of a server whose pg_cron works in `database`.
pub(crate) fn pg_cron_in(database: &str) -> String {
    format!(
        "shared_preload_libraries = 'pg_cron'\ncron.database_name = '{database}'\ncron.use_background_workers = on\nmax_worker_processes = 20\n"
    )
}

/// Waits until the query is true.
pub(crate) async fn wait_until(pool: &PgPool, query: &'static str) {
    let began = Instant::now();
    while !sqlx::query_scalar::<_, bool>(query).fetch_one(pool).await.unwrap() {
        assert!(began.elapsed() < PATIENCE, "it does not come true: {query}");
        tokio::time::sleep(POLL).await;
    }
}
