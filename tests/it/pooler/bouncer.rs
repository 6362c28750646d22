//! A PgBouncer of a test's own, in transaction mode, in front of the tests' server.
use crate::outage::{PATIENCE, POLL};
use nix::unistd::{User, geteuid};
use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;
use tallybook::db::pool;
use tallybook::testing::{self, TestDatabase};
use tempfile::TempDir;

/// Sessions that it lends to all of us: few, so that a transaction often gets one that somebody else has just used.
pub(super) const SESSIONS: u32 = 3;
/// Where distributions install it, which is in nobody's search path but root's.
const PROGRAMS: [&str; 2] = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"];

/// Killed when the test ends.
pub(super) struct Bouncer {
    child: Child,
    directory: TempDir,
}

impl Bouncer {
    /// In front of the database's server; each transaction gets the session that was used longest ago.
    pub(super) async fn start(database: &TestDatabase) -> Self {
        let to = database.options();
        let directory = tempfile::tempdir().unwrap();
        let url = to.to_url_lossy();
        let configuration = format!(
            "[databases]\n* = host={} port={} user={} password={}\n\
             [pgbouncer]\nlisten_addr =\nunix_socket_dir = {}\nauth_type = any\npool_mode = transaction\n\
             server_round_robin = 1\ndefault_pool_size = {SESSIONS}\nmin_pool_size = {SESSIONS}\nmax_client_conn = 200\n",
            to.get_host(),
            to.get_port(),
            to.get_username(),
            url.password().unwrap_or_default(),
            directory.path().display(),
        );
        let bouncer = Self { child: launch(directory.path(), &configuration), directory };
        let (began, pool) = (Instant::now(), pool::lazy(bouncer.options(database), None, 1));
        while let Err(error) = pool.try_connect().await {
            let log = fs::read_to_string(bouncer.directory.path().join("log")).unwrap();
            assert!(began.elapsed() < PATIENCE, "PgBouncer does not serve: {error}\n{log}");
            tokio::time::sleep(POLL).await;
        }
        bouncer
    }

    /// How to get through it to the database.
    pub(super) fn options(&self, database: &TestDatabase) -> PgConnectOptions {
        let name = database.options().get_database().unwrap().to_owned();
        testing::server_options().database(&name).socket(self.directory.path()).port(6432)
    }

    /// The same as a URL.
    pub(super) fn url(&self, database: &TestDatabase) -> String {
        self.options(database).to_url_lossy().to_string()
    }
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        // It keeps nothing.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Starts it; it refuses root, as PostgreSQL does.
fn launch(directory: &Path, configuration: &str) -> Child {
    let program = PROGRAMS.iter().find(|program| Path::new(program).exists());
    let program = program.expect("PgBouncer is missing: `scripts/install-needs pgbouncer` installs it");
    let file = directory.join("pgbouncer.ini");
    fs::write(&file, configuration).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(directory, Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(program);
    if geteuid().is_root() {
        let user = User::from_name("postgres").unwrap().unwrap();
        for path in [directory, &file] {
            chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw())).unwrap();
        }
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    }
    let log = File::create(directory.join("log")).unwrap();
    command.arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap()
}
