//! Takes the data of an older major version of PostgreSQL to the newest one that is installed.
//!
//! The old cluster and a new one run beside each other, and nobody else may use them; what is copied between them is the caller's
//! ([`crate::backup`]). Then the two change places in one step. The old one is kept under the name of its version.
//!
//! ```text
//! postgres/         the old cluster, until the last step; then the new one
//! postgres.15/      the new cluster, right before the last step; then the old one
//! upgrade/          the new cluster in the making, with its log and its socket
//! ```
//!
//! Whatever kills us before the last step leaves the old data where they are, and a directory that the next upgrade removes.
use super::layout::Layout;
use super::lock::{Serving, Transition, Using};
use super::postmaster::Postmaster;
use super::server::Server;
use super::user::ServerUser;
use super::{Error, binaries, connect_options, initdb};
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use sqlx::postgres::PgConnectOptions;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Settings of the operator's, which the new cluster gets, too.
const OWN_SETTINGS: &str = "local.conf";

/// An upgrade under way: both servers run.
#[derive(Debug)]
pub struct Upgrade {
    /// The version that the data have.
    pub from: u32,
    /// The version that they get.
    pub to: u32,
    old: Running,
    new: Running,
    _transition: Transition,
    _serving: Serving,
}

#[derive(Debug)]
struct Running {
    layout: Layout,
    server: Server,
}

impl Upgrade {
    /// Starts both servers. `None` where there are no data, or those of the newest version that is installed.
    pub fn begin(data_dir: &Path) -> Result<Option<Self>, Error> {
        let layout = Layout::create(data_dir)?;
        let serving = Serving::begin(&layout)?;
        let transition = Transition::begin(&layout)?;
        if !Using::begin(&layout, &transition)?.end(&transition)? {
            return Err(Error::InUse { data_dir: layout.root().to_owned() });
        }
        let Some(from) = initdb::existing_major(&layout)? else { return Ok(None) };
        let to = binaries::installed().newest()?.major;
        if to <= from {
            return Ok(None);
        }
        let own_place = layout.root().join("upgrade");
        discard(&own_place)?;
        discard_leftover(&kept(&layout, from), from)?;
        let old = Running::start(layout)?;
        let mut new = Running::start(Layout::create(&own_place)?)?;
        let settings = old.layout.cluster().join(OWN_SETTINGS);
        if settings.exists() {
            new.server.stop(&new.layout)?;
            let copy = new.layout.cluster().join(OWN_SETTINGS);
            let user = ServerUser::of(&new.layout)?;
            let copied = fs::copy(&settings, &copy).and_then(|_| user.give(&copy));
            copied.map_err(Error::file("copy the settings to", &copy))?;
            new = Running::start(new.layout)?;
        }
        Ok(Some(Self { from, to, old, new, _transition: transition, _serving: serving }))
    }

    /// How to connect to the old data.
    pub fn old_options(&self) -> PgConnectOptions {
        connect_options(&self.old.server.postmaster)
    }

    /// How to connect to the new database, which is empty at first.
    pub fn new_options(&self) -> PgConnectOptions {
        connect_options(&self.new.server.postmaster)
    }

    /// A directory for what is on its way between them; it goes with the upgrade.
    pub fn directory(&self) -> &Path {
        self.new.layout.root()
    }

    /// Stops both servers, puts the new data in the place of the old ones, and says where those are now.
    pub fn finish(mut self) -> Result<PathBuf, Error> {
        self.stop()?;
        let (root, cluster) = (self.old.layout.root().to_owned(), self.old.layout.cluster());
        let kept = kept(&self.old.layout, self.from);
        fs::rename(self.new.layout.cluster(), &kept).map_err(Error::file("move the new cluster to", &kept))?;
        sync(&root)?;
        renameat2(AT_FDCWD, &cluster, AT_FDCWD, &kept, RenameFlags::RENAME_EXCHANGE)
            .map_err(|error| Error::file("exchange with the new cluster", &cluster)(error.into()))?;
        sync(&root)?;
        discard(self.new.layout.root())?;
        Ok(kept)
    }

    /// Stops both servers; the data stay as they were.
    pub fn abandon(mut self) -> Result<(), Error> {
        self.stop()?;
        discard(self.new.layout.root())
    }

    fn stop(&mut self) -> Result<(), Error> {
        self.new.server.stop(&self.new.layout)?;
        self.old.server.stop(&self.old.layout)
    }
}

impl Running {
    fn start(layout: Layout) -> Result<Self, Error> {
        let server = Server::join_or_start(&layout)?;
        Ok(Self { layout, server })
    }
}

/// Where the old cluster is kept.
fn kept(layout: &Layout, major: u32) -> PathBuf {
    layout.root().join(format!("postgres.{major}"))
}

/// Removes a data directory in the making, whose server a killed upgrade may have left running.
fn discard(own_place: &Path) -> Result<(), Error> {
    if !own_place.exists() {
        return Ok(());
    }
    let layout = Layout::create(own_place)?;
    if Postmaster::find(&layout)?.is_some() {
        Server::join_or_start(&layout)?.stop(&layout)?;
    }
    fs::remove_dir_all(own_place).map_err(Error::file("remove", own_place))
}

/// Removes a new cluster that never changed places with the old one; kept data of that very version are never removed.
fn discard_leftover(kept: &Path, old_major: u32) -> Result<(), Error> {
    match fs::read_to_string(kept.join("PG_VERSION")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && !kept.exists() => Ok(()),
        Ok(version) if version.trim().parse().is_ok_and(|major: u32| major > old_major) => {
            fs::remove_dir_all(kept).map_err(Error::file("remove", kept))
        }
        _ => Err(Error::Kept { kept: kept.to_owned() }),
    }
}

fn sync(directory: &Path) -> Result<(), Error> {
    File::open(directory).and_then(|opened| opened.sync_all()).map_err(Error::file("sync", directory))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_cluster_of_a_newer_version_is_taken_for_a_leftover() {
        let root = tempfile::tempdir().unwrap();
        let kept = root.path().join("postgres.15");
        discard_leftover(&kept, 15).unwrap();
        fs::create_dir(&kept).unwrap();
        assert!(matches!(discard_leftover(&kept, 15), Err(Error::Kept { .. })), "a directory of whose-ever");
        fs::write(kept.join("PG_VERSION"), "15\n").unwrap();
        assert!(matches!(discard_leftover(&kept, 15), Err(Error::Kept { .. })), "data that an upgrade has kept");
        fs::write(kept.join("PG_VERSION"), "18\n").unwrap();
        discard_leftover(&kept, 15).unwrap();
        assert!(!kept.exists());
    }
}
