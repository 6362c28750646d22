//! The private PostgreSQL: a server of our own, on a data directory of ours, for whoever has none.
//!
//! Everything here blocks: call it before an async runtime has work to do, or off its threads. Whoever
//! uses the server holds a [`PrivatePostgres`]; the first one starts it, the last one stops it. One that
//! is killed leaves the server running for the next one, which joins it; a server that is killed
//! recovers when it is next started, with everything that it had committed.
//!
//! It is reached through a Unix socket in a closed directory, by root and the user that it runs as, and
//! has no network port. Not here: what is in its database ([`crate::db`]).
mod binaries;
mod error;
mod initdb;
mod layout;
mod lock;
mod log;
mod postmaster;
mod server;
mod settings;
mod supervise;
#[cfg(test)]
mod tests;
mod upgrade;
mod user;

pub(crate) use binaries::client_program;
pub use error::Error;
pub use supervise::keep_running;
pub use upgrade::Upgrade;

use layout::Layout;
use lock::{Serving, Transition, Using};
use nix::unistd::geteuid;
use postmaster::Postmaster;
use server::Server;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use std::env;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The database, and the role that owns it: an ordinary one, as a managed server's would be.
const ROLE: &str = "tallybook";
/// The role that made the cluster, and the database that it connects to.
const SUPERUSER: &str = "postgres";
/// How often we look for what we wait for.
const POLL: Duration = Duration::from_millis(10);

/// Where the data lie unless somebody says otherwise: `TALLYBOOK_DATA_DIR`, else for root
/// `/var/lib/tallybook`, else `tallybook` in the user's data home.
pub fn default_data_dir() -> PathBuf {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("TALLYBOOK_DATA_DIR").unwrap_or_else(|| {
        if geteuid().is_root() {
            return PathBuf::from("/var/lib/tallybook");
        }
        let home = || set("HOME").unwrap_or_default().join(".local/share");
        set("XDG_DATA_HOME").filter(|path| path.is_absolute()).unwrap_or_else(home).join("tallybook")
    })
}

/// Where the private instance keeps the admin token that its first start makes.
pub fn admin_token_path(data_dir: &Path) -> PathBuf {
    data_dir.join("admin-token")
}

/// A use of the private PostgreSQL; while there is one, it runs.
#[derive(Debug)]
pub struct PrivatePostgres {
    layout: Layout,
    /// `None` once we have left.
    held: Mutex<Option<Held>>,
    options: PgConnectOptions,
}

/// What a user of the server holds.
#[derive(Debug)]
struct Held {
    server: Server,
    using: Using,
    serving: Option<Serving>,
}

impl PrivatePostgres {
    /// For the service: the server on `data_dir`, made at the first start. There can be one service.
    pub fn serve(data_dir: &Path) -> Result<Self, Error> {
        let layout = Layout::create(data_dir)?;
        let serving = Serving::begin(&layout)?;
        Self::begin(layout, Some(serving))
    }

    /// For a command: joins the server that runs on `data_dir`, or starts it for as long as it is used.
    pub fn join(data_dir: &Path) -> Result<Self, Error> {
        Self::begin(Layout::create(data_dir)?, None)
    }

    fn begin(layout: Layout, serving: Option<Serving>) -> Result<Self, Error> {
        let transition = Transition::begin(&layout)?;
        let using = Using::begin(&layout, &transition)?;
        let server = Server::join_or_start(&layout)?;
        let options = connect_options(&server.postmaster);
        Ok(Self { layout, held: Mutex::new(Some(Held { server, using, serving })), options })
    }

    /// How to connect to the database.
    pub fn connect_options(&self) -> PgConnectOptions {
        self.options.clone()
    }

    /// The data directory.
    pub fn data_dir(&self) -> &Path {
        self.layout.root()
    }

    /// The server's log.
    pub fn log_path(&self) -> PathBuf {
        self.layout.log()
    }

    /// Starts the server again if it has ended, as after a crash of it. Returns whether it had.
    pub fn revive(&self) -> Result<bool, Error> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(held) = held.as_mut() else { return Ok(false) };
        if held.server.is_alive(&self.layout) {
            return Ok(false);
        }
        let _transition = Transition::begin(&self.layout)?;
        held.server = Server::join_or_start(&self.layout)?;
        Ok(true)
    }

    /// Leaves the server, and stops it if nobody else uses it.
    pub fn stop(&self) -> Result<(), Error> {
        self.leave()
    }

    fn leave(&self) -> Result<(), Error> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Held { mut server, using, serving }) = held else { return Ok(()) };
        let transition = Transition::begin(&self.layout)?;
        if using.end(&transition)? {
            server.stop(&self.layout)?;
        }
        drop(serving);
        Ok(())
    }
}

/// How to connect to the database of a server.
fn connect_options(postmaster: &Postmaster) -> PgConnectOptions {
    PgConnectOptions::new_without_pgpass()
        .socket(&postmaster.socket_directory)
        .port(postmaster.port)
        .ssl_mode(PgSslMode::Disable)
        .username(ROLE)
        .database(ROLE)
}

impl Drop for PrivatePostgres {
    fn drop(&mut self) {
        if let Err(error) = self.leave() {
            tracing::warn!(%error, "the private PostgreSQL may be left running");
        }
    }
}
