//! pg_cron: ticks that PostgreSQL itself makes, where its extension is there.
//!
//! The extension works in one database of the server, which need not be ours: [`Cron::open`] finds it. What the extension says is handed
//! on, never swallowed, and what was scheduled is looked up afterwards: a call that succeeded is no job that is there.
use crate::db::pool::{NeedsSession, PgPool};
use sqlx::{Connection, PgConnection};

mod job;
mod runs;

pub use job::{Job, Old};
pub(crate) use job::{old_jobs, schedule, unschedule};
pub use runs::{Report, Run, report};

/// What a job of ours runs.
pub const COMMAND: &str = "select tallybook.rollup_task_usage_daily()";
/// How often, unless told otherwise: every minute, the most often that every version can.
pub const EVERY: &str = "* * * * *";

/// Why nothing could be scheduled or told.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server does not have it.
    #[error(
        "this server does not have the extension pg_cron; install it where PostgreSQL runs (Debian: apt-get install postgresql-{major}-cron; a managed \
         PostgreSQL: switch it on in its settings), add it to shared_preload_libraries, restart, and run `create extension pg_cron`; \
         or schedule by other means: `tallybook serve` folds by itself, `tallybook schedule print` has files for systemd, Kubernetes and cron"
    )]
    NotInstalled {
        /// The server's major version.
        major: i32,
    },
    /// It is there and does nothing.
    #[error(
        "pg_cron is installed and not loaded; set shared_preload_libraries = 'pg_cron' and cron.database_name = '{database}', restart PostgreSQL, \
         and run `create extension pg_cron` in that database as a superuser"
    )]
    NotLoaded {
        /// Our database.
        database: String,
    },
    /// Its tables are missing in the database in which it works.
    #[error(
        "pg_cron is loaded and has not been created; run `create extension pg_cron` in the database {database} as a superuser"
    )]
    NotCreated {
        /// The database in which it works.
        database: String,
    },
    /// Jobs can be written down, and nobody runs them.
    #[error(
        "pg_cron's extension is there and its scheduler does not run, so that no job would; set shared_preload_libraries = 'pg_cron' and \
         cron.database_name = '{database}', restart PostgreSQL, and look into its log"
    )]
    NotRunning {
        /// The database in which it is created.
        database: String,
    },
    /// The role may not use it.
    #[error(
        "the role {role} may not use pg_cron; run `grant usage on schema cron to {role}` in the database {database} as a superuser"
    )]
    NoRight {
        /// Who we are.
        role: String,
        /// The database in which it works.
        database: String,
    },
    /// The extension took the job, and it is not there.
    #[error(
        "pg_cron accepted the job {name:?}, and it is not there as it was given; look into `select * from cron.job` in the database {database}"
    )]
    NotThere {
        /// The job.
        name: String,
        /// The database in which it works.
        database: String,
    },
    /// A pooler is in between, and no way past it is known.
    #[error("the database {0}")]
    NeedsSession(#[from] NeedsSession),
    /// The extension, or PostgreSQL, refused.
    #[error("pg_cron: {0}")]
    Database(#[from] sqlx::Error),
}

/// pg_cron as it works for our database.
#[derive(Debug)]
pub struct Cron {
    /// A connection to the database in which it works.
    pub(crate) connection: PgConnection,
    /// That database.
    pub works_in: String,
    /// Our database, in which the job's command runs.
    pub database: String,
    /// Whether its scheduler runs; none where this role cannot see it.
    pub is_running: Option<bool>,
}

#[derive(sqlx::FromRow)]
struct Found {
    major: i32,
    database: String,
    is_available: bool,
    is_created: bool,
    may_use: bool,
    works_in: Option<String>,
    runs: Option<bool>,
    role: String,
}

impl Cron {
    /// Finds pg_cron, whose scheduler runs as far as that can be seen, and connects to the database in which it works.
    pub async fn open(pool: &PgPool) -> Result<Self, Error> {
        let cron = Self::reach(pool).await?;
        cron.check_running()?;
        Ok(cron)
    }

    /// Fails where its scheduler does not run, so that no job would.
    pub(crate) fn check_running(&self) -> Result<(), Error> {
        match self.is_running {
            Some(false) => Err(Error::NotRunning { database: self.works_in.clone() }),
            _ => Ok(()),
        }
    }

    /// Finds pg_cron, whether or not its scheduler runs: for what looks at jobs, and for what takes them away.
    pub async fn reach(pool: &PgPool) -> Result<Self, Error> {
        // pg_cron shows each role its own jobs, by policies, which our other sessions do without.
        let options = pool.session_options().await??.options([("row_security", "on")]);
        let mut connection = PgConnection::connect_with(&options).await?;
        let ours = find(&mut connection).await?;
        let database = ours.database.clone();
        let (connection, there) = match ours.works_in.clone() {
            Some(other) if other != database && !ours.is_created => {
                connection.close().await?;
                let mut connection = PgConnection::connect_with(&options.database(&other)).await?;
                let there = find(&mut connection).await?;
                (connection, there)
            }
            _ => (connection, ours),
        };
        let works_in = there.database.clone();
        match there {
            Found { is_created: true, may_use: false, role, .. } => Err(Error::NoRight { role, database: works_in }),
            Found { is_created: true, runs, .. } => Ok(Self { connection, works_in, database, is_running: runs }),
            Found { works_in: Some(_), .. } => Err(Error::NotCreated { database: works_in }),
            Found { is_available: true, .. } => Err(Error::NotLoaded { database }),
            Found { major, .. } => Err(Error::NotInstalled { major }),
        }
    }

    /// The same, or none where the server has no pg_cron.
    pub async fn look(pool: &PgPool) -> Result<Option<Self>, Error> {
        match Self::reach(pool).await {
            Ok(cron) => Ok(Some(cron)),
            Err(Error::NotInstalled { .. } | Error::NotLoaded { .. } | Error::NotCreated { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Removes our job, whether or not the scheduler runs, and returns its name; none where pg_cron is not there, or not for us: then we
    /// have no job.
    pub async fn remove_job(pool: &PgPool) -> Result<Option<String>, Error> {
        match Self::look(pool).await {
            Ok(Some(mut cron)) => Ok(cron.uninstall().await?.then(|| cron.job_name())),
            Ok(None) | Err(Error::NoRight { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What our job is called: a server may have a Tallybook in each of its databases.
    pub fn job_name(&self) -> String {
        format!("tallybook {}", self.database)
    }
}

async fn find(connection: &mut PgConnection) -> Result<Found, sqlx::Error> {
    sqlx::query_as(include_str!("find.sql")).fetch_one(connection).await
}
