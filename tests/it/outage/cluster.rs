//! A PostgreSQL of a test's own, to be stopped and started, and a door to it by TCP that can be shut.
use super::{POLL, blocking};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, Executor, PgConnection};
use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use tallybook::config::Place;
use tallybook::embedded::PrivatePostgres;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) const WORKSPACE: &str = "00000000-0000-4000-8000-000000000001";
pub(crate) const TASK: &str = "00000000-0000-4000-8000-000000000004";

/// How a server is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// `pg_ctl stop -m fast`: transactions are rolled back, sessions told.
    Fast,
    /// `pg_ctl stop -m immediate`: as by a crash, but the sessions are told.
    Immediate,
    /// `kill -9`.
    Killed,
}

pub(crate) struct Cluster {
    postgres: Arc<PrivatePostgres>,
    directory: TempDir,
}

impl Cluster {
    pub(crate) fn start() -> Self {
        Self::start_in(Self::directory())
    }

    /// A directory that the server's user can reach, also when we are root.
    pub(crate) fn directory() -> TempDir {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
        directory
    }

    /// On the cluster that is in the directory, or a new one.
    pub(crate) fn start_in(directory: TempDir) -> Self {
        Self { postgres: Arc::new(PrivatePostgres::join(directory.path()).unwrap()), directory }
    }

    pub(crate) fn by_socket(&self) -> Place {
        Place::from(self.postgres.connect_options())
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.directory.path().join("postgres")
    }

    /// The role that may do everything, in its own database.
    pub(crate) fn superuser(&self) -> PgConnectOptions {
        self.postgres.connect_options().username("postgres").database("postgres")
    }

    /// Puts one task into an empty schema.
    pub(crate) async fn fill(&self) {
        let mut connection = PgConnection::connect_with(&self.postgres.connect_options()).await.unwrap();
        if sqlx::query_scalar::<_, bool>("select not exists (select from public.workspace)")
            .fetch_one(&mut connection)
            .await
            .unwrap()
        {
            connection.execute(include_str!("../../../src/testing/one_task.sql")).await.unwrap();
        }
    }

    fn pid_file(&self) -> PathBuf {
        self.directory.path().join("postgres/postmaster.pid")
    }

    fn socket(&self) -> PathBuf {
        let options = self.postgres.connect_options();
        options.get_socket().unwrap().join(format!(".s.PGSQL.{}", options.get_port()))
    }

    pub(crate) fn has_socket(&self) -> bool {
        self.socket().exists()
    }

    /// Ends the server, and returns when it has ended.
    pub(crate) async fn stop(&self, stop: Stop) {
        let text = fs::read_to_string(self.pid_file()).unwrap();
        let pid = Pid::from_raw(text.lines().next().unwrap().parse().unwrap());
        let signal = match stop {
            Stop::Fast => Signal::SIGINT,
            Stop::Immediate => Signal::SIGQUIT,
            Stop::Killed => Signal::SIGKILL,
        };
        kill(pid, signal).unwrap();
        let postmaster = PathBuf::from(format!("/proc/{pid}/stat"));
        // A child of ours that has ended is a zombie until its next start is asked for.
        while fs::read_to_string(&postmaster).is_ok_and(|stat| !stat.contains(") Z ")) {
            tokio::time::sleep(POLL).await;
        }
    }

    pub(crate) async fn start_again(&self) {
        let postgres = Arc::clone(&self.postgres);
        assert!(blocking(move || postgres.revive().unwrap()).await, "it had not ended");
    }

    /// A port that leads to the server's socket.
    pub(crate) async fn open_door(&self) -> Door {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, socket) = (listener.local_addr().unwrap(), self.socket());
        Door { address, options: self.postgres.connect_options(), keeper: Some(Keeper::start(listener, socket.clone())), socket }
    }
}

/// A port that leads to the server, or to nothing.
pub(crate) struct Door {
    address: SocketAddr,
    options: PgConnectOptions,
    socket: PathBuf,
    keeper: Option<Keeper>,
}

struct Keeper {
    tracker: TaskTracker,
    shut: CancellationToken,
}

impl Keeper {
    fn start(listener: TcpListener, socket: PathBuf) -> Self {
        let (tracker, shut) = (TaskTracker::new(), CancellationToken::new());
        let visitors = async move {
            let mut visitors = JoinSet::new();
            while let Ok((inside, _)) = listener.accept().await {
                visitors.spawn(lead(inside, socket.clone()));
            }
        };
        tracker.spawn(shut.clone().run_until_cancelled_owned(visitors));
        tracker.close();
        Self { tracker, shut }
    }
}

async fn lead(mut inside: TcpStream, socket: PathBuf) -> std::io::Result<(u64, u64)> {
    let mut outside = UnixStream::connect(socket).await?;
    tokio::io::copy_bidirectional(&mut inside, &mut outside).await
}

impl Door {
    pub(crate) fn place(&self) -> Place {
        let mut url = sqlx::ConnectOptions::to_url_lossy(&self.options);
        url.set_query(Some("sslmode=disable"));
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(self.address.port())).unwrap();
        Place::from(url.as_str().parse::<PgConnectOptions>().unwrap())
    }

    /// Shuts it, whoever is in it: from now on connections are refused.
    pub(crate) async fn close(mut self) -> Self {
        if let Some(keeper) = self.keeper.take() {
            keeper.shut.cancel();
            keeper.tracker.wait().await;
        }
        self
    }

    /// Lets it lead to another server from its next opening on.
    pub(crate) fn leading_to(mut self, cluster: &Cluster) -> Self {
        self.socket = cluster.socket();
        self
    }

    pub(crate) async fn open_again(mut self) -> Self {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.keeper = Some(Keeper::start(listener, self.socket.clone()));
        self
    }
}
