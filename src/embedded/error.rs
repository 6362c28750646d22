//! What can go wrong with the private PostgreSQL, and what to do about it.
use super::binaries::OLDEST_MAJOR;
use std::io;
use std::path::PathBuf;

/// Why the private PostgreSQL cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No server programs on this machine.
    #[error(
        "no PostgreSQL {OLDEST_MAJOR} or newer on this machine (looked at {looked}); \
         install it with `apt-get install postgresql` (Debian 12, Ubuntu 24.04 or newer), \
         name the directory of its programs in PG_BIN, or use a server of your own with DATABASE_URL"
    )]
    NoBinaries {
        /// Where we looked, and what was there.
        looked: String,
    },
    /// The data were written by another major version than any that is installed.
    #[error(
        "the data in {} were written by PostgreSQL {has}, and only {found} is installed here; \
         install `postgresql-{has}`; beside a newer version, `tallybook upgrade-data` then takes them to that one", cluster.display()
    )]
    WrongVersion {
        /// The cluster's directory.
        cluster: PathBuf,
        /// The version that wrote it.
        has: u32,
        /// The versions that are installed.
        found: String,
    },
    /// Somebody uses the data that are to be upgraded.
    #[error("other tallybook commands use the data in {}; let them end, then try again", data_dir.display())]
    InUse {
        /// The data directory.
        data_dir: PathBuf,
    },
    /// An earlier upgrade's data are in the way.
    #[error("{} is in the way: it may hold data that an earlier upgrade kept; move it away, then try again", kept.display())]
    Kept {
        /// The directory.
        kept: PathBuf,
    },
    /// A directory is in the place of the cluster that is none.
    #[error("{} is not empty and holds no PostgreSQL data (there is no PG_VERSION in it); move it away, or choose another data directory", cluster.display())]
    NotACluster {
        /// The directory.
        cluster: PathBuf,
    },
    /// Another service runs on this data directory.
    #[error(
        "another tallybook service{} already serves the data in {}; stop it first, or choose another data directory",
        pid.map(|pid| format!(" (process {pid})")).unwrap_or_default(), data_dir.display()
    )]
    AlreadyServed {
        /// The data directory.
        data_dir: PathBuf,
        /// The other service's process, where it told.
        pid: Option<i32>,
    },
    /// We are root and found nobody to run the server as.
    #[error(
        "PostgreSQL refuses to run as root, and this machine has no user `postgres` to run it as; \
         create one (`useradd --system --user-group postgres`), or run tallybook as an ordinary user"
    )]
    NoServerUser,
    /// Our own user has no name, which PostgreSQL needs.
    #[error("the user with id {uid} has no name in /etc/passwd, and PostgreSQL needs one; add it there, or use DATABASE_URL")]
    NamelessUser {
        /// The user's id.
        uid: u32,
    },
    /// The data belong to somebody else.
    #[error("the data in {} belong to the user with id {owner}; run tallybook as that user or as root", cluster.display())]
    NotOwner {
        /// The cluster's directory.
        cluster: PathBuf,
        /// Who owns it.
        owner: u32,
    },
    /// The user that the server runs as cannot get at the data directory.
    #[error(
        "the server runs as user `{user}`, who may not enter {}; choose a data directory that `{user}` can reach \
         (such as one in /var/lib), or let others pass through with `chmod o+x`", path.display()
    )]
    Unreachable {
        /// The first directory on the way that is closed.
        path: PathBuf,
        /// The server's user.
        user: String,
    },
    /// A file or directory of ours cannot be made, read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What we wanted to do.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A program of PostgreSQL's cannot be run.
    #[error("cannot run {} as user `{user}`: {source}", program.display())]
    Spawn {
        /// The program.
        program: PathBuf,
        /// As whom.
        user: String,
        /// Why not.
        source: io::Error,
    },
    /// The cluster could not be made.
    #[error("cannot make a PostgreSQL cluster in {}; {program} says:\n{output}", data_dir.display())]
    Init {
        /// The data directory.
        data_dir: PathBuf,
        /// Which program failed.
        program: &'static str,
        /// The end of what it wrote.
        output: String,
    },
    /// The server ended while it was starting.
    #[error("the private PostgreSQL did not start; its log, {}, ends with:\n{tail}", log.display())]
    Start {
        /// The server's log.
        log: PathBuf,
        /// The end of it.
        tail: String,
    },
    /// Somebody else listens on our socket.
    #[error(
        "another program listens on {} (perhaps a server for the same path in another container); \
         stop it, or choose another data directory", socket.display()
    )]
    SocketInUse {
        /// The socket.
        socket: PathBuf,
    },
    /// The directory for the socket is not ours alone.
    #[error("{} is in the way of the server's socket: it belongs to the user with id {owner}; remove it", dir.display())]
    SocketDirectory {
        /// The directory.
        dir: PathBuf,
        /// Who owns it.
        owner: u32,
    },
    /// The server does not end.
    #[error("the private PostgreSQL (process {pid}) has not ended {seconds} s after it was told to; see its log, {}", log.display())]
    Stop {
        /// The server's process.
        pid: i32,
        /// How long we waited.
        seconds: u64,
        /// The server's log.
        log: PathBuf,
    },
}

impl Error {
    /// For `map_err`: `action` on `path` failed.
    pub(super) fn file(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }
}
