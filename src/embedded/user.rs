//! The operating-system user that the server runs as.
//!
//! PostgreSQL refuses root. So root hands the cluster to an unprivileged user and runs every program of
//! PostgreSQL's as that user; anybody else runs them as themselves.
use super::Error;
use super::layout::Layout;
use nix::unistd::{Uid, User, geteuid};
use std::env;
use std::ffi::OsString;
use std::io;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// Whom root runs the server as.
const UNPRIVILEGED: &str = "postgres";

/// Who the server runs as.
#[derive(Clone, Debug)]
pub(super) struct ServerUser {
    /// Their name, which the server asks for when they connect.
    pub(super) name: String,
    /// Their id.
    pub(super) uid: u32,
    gid: u32,
    /// We are root and become this user for the server's programs.
    becomes: bool,
}

impl ServerUser {
    /// The owner of the cluster, where there is one; else we ourselves, or for root the unprivileged user.
    pub(super) fn of(layout: &Layout) -> Result<Self, Error> {
        let me = geteuid();
        let owner = layout.cluster().metadata().ok().map(|metadata| metadata.uid());
        match owner {
            Some(owner) if owner == 0 || (!me.is_root() && owner != me.as_raw()) => {
                Err(Error::NotOwner { cluster: layout.cluster(), owner })
            }
            None if me.is_root() => {
                let user = User::from_name(UNPRIVILEGED).ok().flatten().ok_or(Error::NoServerUser)?;
                Ok(Self::new(user, true))
            }
            owner => {
                let uid = owner.unwrap_or(me.as_raw());
                let user = User::from_uid(Uid::from_raw(uid)).ok().flatten().ok_or(Error::NamelessUser { uid })?;
                Ok(Self::new(user, me.is_root()))
            }
        }
    }

    fn new(user: User, becomes: bool) -> Self {
        Self { name: user.name, uid: user.uid.as_raw(), gid: user.gid.as_raw(), becomes }
    }

    /// `program`, to be run as this user, in an environment that nothing of ours leaks into.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        let kept = ["PATH", "LD_LIBRARY_PATH"].map(|name| (name, env::var_os(name)));
        command.env_clear().envs(kept.into_iter().filter_map(|(name, value)| Some((name, value?))));
        command.env("LC_ALL", OsString::from("C")).stdin(Stdio::null()).current_dir("/");
        if self.becomes {
            command.uid(self.uid).gid(self.gid);
        }
        command
    }

    /// Hands `path` to this user.
    pub(super) fn give(&self, path: &Path) -> io::Result<()> {
        if self.becomes { chown(path, Some(self.uid), Some(self.gid)) } else { Ok(()) }
    }

    /// Checks that this user can get into `directory`, by doing it with `program --version`.
    pub(super) fn check_reach(&self, directory: &Path, program: &Path) -> Result<(), Error> {
        let entered = self.command(program).arg("--version").current_dir(directory).output();
        match entered {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied && self.becomes => {
                let closed = directory.ancestors().filter(|path| closed_to_others(path)).last().unwrap_or(directory);
                Err(Error::Unreachable { path: closed.to_owned(), user: self.name.clone() })
            }
            Err(source) => Err(self.spawn_error(program, source)),
        }
    }

    /// The error of a program that could not be run.
    pub(super) fn spawn_error(&self, program: &Path, source: io::Error) -> Error {
        Error::Spawn { program: program.to_owned(), user: self.name.clone(), source }
    }
}

fn closed_to_others(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.mode() & 0o001 == 0)
}
