//! A data directory, the service on it and its PostgreSQL.
use super::patience::wait_for;
use super::plan::Victim;
use super::process::{Ended, Process, send};
use super::reporter::{Door, Entrance};
use crate::cli::in_directory;
use nix::sys::signal::Signal;
use nix::sys::statvfs::statvfs;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{Connection, PgConnection};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tallybook::db::pool::PgPool;
use tempfile::TempDir;

/// A private instance; whatever is left of it when this is dropped is killed.
pub(super) struct Instance {
    data_dir: PathBuf,
    service: Option<Process>,
    /// Where reporters find the service.
    pub(super) door: Arc<Door>,
    /// Connections of the superuser, who may see every process of the server.
    pub(super) pool: PgPool,
}

/// Where files are kept in memory. It is processes that are killed here, not the machine: what they have written is the
/// kernel's either way, and other tests, busy with the same disk, do not slow down each `fsync`. `TMPDIR` names another place.
const IN_MEMORY: &str = "/dev/shm";
/// Room that the instances of a test may need there.
const ROOM_BYTES: u64 = 2 << 30;
/// Lines of a log that a failed test tells.
const LINES_TOLD: usize = 50;

/// A directory that the server's user can reach, also when we are root.
pub(super) fn directory() -> TempDir {
    let has_room = || statvfs(IN_MEMORY).is_ok_and(|found| found.blocks_available() * found.fragment_size() > ROOM_BYTES);
    let in_memory = std::env::var_os("TMPDIR").is_none() && has_room();
    let directory = if in_memory { tempfile::tempdir_in(IN_MEMORY) } else { tempfile::tempdir() }.unwrap();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
    directory
}

impl Instance {
    /// An instance in `data_dir` that does not run yet.
    pub(super) fn new(data_dir: &Path) -> Self {
        let pool = tallybook::db::pool::lazy(superuser(data_dir), None, 2);
        Self { data_dir: data_dir.to_owned(), service: None, door: Arc::default(), pool }
    }

    pub(super) fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    pub(super) fn cluster(&self) -> PathBuf {
        self.data_dir.join("postgres")
    }

    /// How the role that made the cluster connects.
    pub(super) fn superuser(&self) -> PgConnectOptions {
        superuser(&self.data_dir)
    }

    /// A connection of that role's.
    pub(super) async fn connect(&self) -> PgConnection {
        PgConnection::connect_with(&self.superuser()).await.unwrap()
    }

    /// Starts a service, and does not wait for it.
    pub(super) fn launch(&mut self) {
        assert!(self.service.is_none(), "there can be one service");
        self.service = Some(Process::start(&mut in_directory(&self.data_dir, "serve --listen 127.0.0.1:0")));
    }

    /// Looks until there is something, which the service has to live to see.
    pub(super) fn wait_for<T>(&mut self, what: &str, mut look: impl FnMut(&Process) -> Option<T>) -> T {
        let service = self.service.as_mut().expect("a service was started");
        wait_for(what, || {
            let found = look(service);
            assert!(found.is_some() || service.is_running(), "the service ended before {what}: {}", service.logged());
            found
        })
    }

    /// Starts a service if there is none, waits until it serves, and lets reporters in.
    pub(super) fn serve(&mut self) {
        if self.service.is_none() {
            self.launch();
        }
        let address = self.wait_for("it said where it listens", |service| {
            service.printed().split_once("http://")?.1.split_once(',')?.0.parse().ok()
        });
        let token = fs::read_to_string(self.data_dir.join("admin-token")).unwrap();
        self.door.open(Entrance { address, token: token.trim().to_owned() });
        self.wait_for("it was ready", |_| ureq::get(format!("http://{address}/readyz")).call().ok());
    }

    /// What the service has logged since it was started.
    pub(super) fn logged(&self) -> String {
        self.service.as_ref().map_or_else(String::new, Process::logged)
    }

    /// Ends the service with `signal`.
    pub(super) fn end_service(&mut self, signal: Signal) -> Option<Ended> {
        let ended = self.service.take().map(|service| service.end_with(signal))?;
        self.door.close();
        assert!(!ended.logged.contains("panicked"), "the service panicked: {}", ended.logged);
        Some(ended)
    }

    /// Starts a command.
    pub(super) fn command(&self, arguments: &str) -> Process {
        Process::start(&mut in_directory(&self.data_dir, arguments))
    }

    /// Runs a command that has to succeed, and gives what it printed.
    pub(super) fn run(&self, arguments: &str) -> String {
        let ended = self.command(arguments).end();
        assert!(ended.status.success(), "{arguments}: {ended:?}");
        ended.printed
    }

    /// The server's main process, if it lives.
    pub(super) fn postmaster(&self) -> Option<i32> {
        let text = fs::read_to_string(self.cluster().join("postmaster.pid")).ok()?;
        let pid = text.lines().next()?.parse().ok()?;
        self.is_servers(pid).then_some(pid)
    }

    /// Lets a running server read its settings again.
    pub(super) fn reload(&self) {
        if let Some(postmaster) = self.postmaster() {
            send(postmaster, Signal::SIGHUP);
        }
    }

    /// Every process of the server.
    fn processes(&self) -> Vec<i32> {
        let processes = fs::read_dir("/proc").unwrap().flatten();
        processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(|pid| self.is_servers(*pid)).collect()
    }

    /// The server's processes, and no others, work in its directory.
    fn is_servers(&self, pid: i32) -> bool {
        let cluster = self.cluster().canonicalize();
        fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|directory| cluster.is_ok_and(|cluster| cluster == directory))
    }

    /// `kill -9`. `backend` is a process of the server's, `command` one of ours.
    pub(super) fn kill(&mut self, victim: Victim, backend: Option<i32>, command: &mut Option<Process>) {
        match victim {
            Victim::Service => drop(self.end_service(Signal::SIGKILL)),
            Victim::Postmaster => send(self.postmaster().expect("the server runs"), Signal::SIGKILL),
            Victim::Backend => send(backend.expect("a process of the server's"), Signal::SIGKILL),
            Victim::Command => drop(command.take().map(|command| command.end_with(Signal::SIGKILL))),
            Victim::Everything => {
                drop(command.take().map(|command| command.end_with(Signal::SIGKILL)));
                drop(self.end_service(Signal::SIGKILL));
                self.kill_server();
            }
        }
    }

    fn kill_server(&self) {
        // New ones may be born while the main process lives.
        loop {
            let processes = self.processes();
            if processes.is_empty() {
                return;
            }
            for pid in processes {
                send(pid, Signal::SIGKILL);
            }
        }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let server = fs::read_to_string(self.data_dir.join("postgres.log")).unwrap_or_default();
            eprintln!("the service said:\n{}\nthe server said:\n{}", last_lines(&self.logged()), last_lines(&server));
        }
        drop(self.service.take());
        self.kill_server();
    }
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES_TOLD)..].join("\n")
}

fn superuser(data_dir: &Path) -> PgConnectOptions {
    let socket = data_dir.join("socket");
    PgConnectOptions::new_without_pgpass().socket(socket).ssl_mode(PgSslMode::Disable).username("postgres").database("tallybook")
}
