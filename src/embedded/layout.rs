//! Where everything lies in a data directory, and where its server's socket is.
//!
//! ```text
//! <data directory>    ours: nobody else may write (root: the server's user may pass through)
//!   postgres/         the cluster, owned by the server's user
//!   postgres.log      what the server says
//!   socket/           its socket, open to its user (and root) alone
//!   admin-token       for our own command line
//!   *.lock            who serves, who uses, who starts or stops: `lock`
//! ```
use super::Error;
use super::user::ServerUser;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use nix::unistd::geteuid;
use sha2::{Digest, Sha256};
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

/// The number in the socket's name; no network port is opened.
pub(super) const PORT: u16 = 5432;
/// The longest path that a socket can have on Linux.
const SOCKET_PATH_BYTES_MAX: usize = 107;
/// A closed directory.
const PRIVATE: u32 = 0o700;
/// A directory that others may pass through, without seeing what is in it.
const PASSABLE: u32 = 0o711;

/// The paths of one data directory.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The layout of `data_dir`, which is made where it is missing.
    pub(super) fn create(data_dir: &Path) -> Result<Self, Error> {
        if !data_dir.exists() {
            let mode = if geteuid().is_root() { PASSABLE } else { PRIVATE };
            if let Some(parent) = data_dir.parent() {
                fs::create_dir_all(parent).map_err(Error::file("create the directory", parent))?;
            }
            match DirBuilder::new().mode(mode).create(data_dir) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(Error::file("create the data directory", data_dir)(error));
                }
                // Another process may have been quicker; the mode is exact whatever our umask.
                _ => fs::set_permissions(data_dir, Permissions::from_mode(mode))
                    .map_err(Error::file("set the permissions of", data_dir))?,
            }
        }
        let root = data_dir.canonicalize().map_err(Error::file("find", data_dir))?;
        Ok(Self { root })
    }

    /// The data directory itself.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The cluster's directory.
    pub(super) fn cluster(&self) -> PathBuf {
        self.root.join("postgres")
    }

    /// The server's log.
    pub(super) fn log(&self) -> PathBuf {
        self.root.join("postgres.log")
    }

    /// The lock file of that name.
    pub(super) fn lock(&self, name: &str) -> PathBuf {
        self.root.join(name).with_extension("lock")
    }

    /// Gives a file that root made in somebody's data directory to that somebody.
    pub(super) fn hand_over(&self, path: &Path) -> io::Result<()> {
        let owner = self.root.metadata()?;
        if geteuid().is_root() && owner.uid() != 0 { chown(path, Some(owner.uid()), Some(owner.gid())) } else { Ok(()) }
    }

    /// Makes the directory for the socket: in the data directory where its path is short and plain enough,
    /// else a short one of the same privacy in a directory for such things.
    pub(super) fn socket_directory(&self, user: &ServerUser) -> Result<PathBuf, Error> {
        let own = self.root.join("socket");
        let directory = if fits(&own) { own } else { short_base().join(format!("tallybook-{}", self.digest())) };
        match DirBuilder::new().mode(PRIVATE).create(&directory) {
            Ok(()) => user.give(&directory).map_err(Error::file("hand over", &directory))?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Error::file("create the directory", &directory)(error)),
        }
        // In a directory for everybody a stranger may have been here first.
        let found = directory.symlink_metadata().map_err(Error::file("read", &directory))?;
        if !found.is_dir() || found.uid() != user.uid {
            return Err(Error::SocketDirectory { dir: directory, owner: found.uid() });
        }
        fs::set_permissions(&directory, Permissions::from_mode(PRIVATE))
            .map_err(Error::file("set the permissions of", &directory))?;
        Ok(directory)
    }

    /// A short name for this data directory, the same at every start.
    fn digest(&self) -> String {
        let digest = Sha256::digest(self.root.as_os_str().as_encoded_bytes());
        BASE64_URL_SAFE_NO_PAD.encode(&digest[..12])
    }
}

/// The socket's path in `directory`.
pub(super) fn socket_in(directory: &Path, port: u16) -> PathBuf {
    directory.join(format!(".s.PGSQL.{port}"))
}

/// Whether a socket can lie in `directory`: the setting that names it splits at commas and knows quotes.
fn fits(directory: &Path) -> bool {
    let plain = |c: char| c.is_alphanumeric() || "/._-+@ ".contains(c);
    directory.to_str().is_some_and(|path| path.chars().all(plain) && !path.ends_with(' '))
        && socket_in(directory, PORT).as_os_str().len() <= SOCKET_PATH_BYTES_MAX
}

/// Where a short path can be had. It depends on nothing that could differ between two processes that use
/// the same data, nor ends with anybody's login session.
fn short_base() -> PathBuf {
    let run = PathBuf::from("/run");
    if geteuid().is_root() && run.is_dir() { run } else { PathBuf::from("/tmp") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_fits_only_where_its_path_is_short_and_plain() {
        assert!(fits(Path::new("/var/lib/tallybook/socket")));
        assert!(fits(Path::new("/home/jörg/.local/share/tallybook/socket")));
        assert!(fits(Path::new(&format!("/{}", "d".repeat(92)))));
        assert!(!fits(Path::new(&format!("/{}", "d".repeat(93)))));
        assert!(!fits(Path::new("/data/a,b/socket")));
        assert!(!fits(Path::new("/data/it's/socket")));
    }

    #[test]
    fn a_data_directory_that_cannot_be_made_is_named() {
        let error = Layout::create(Path::new("/dev/null/data")).unwrap_err().to_string();
        assert!(error.contains("/dev/null"), "{error}");
    }
}
