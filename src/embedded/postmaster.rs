//! The server's main process, as its pid file and the process table show it.
//!
//! A pid file may be left over, and its number may belong to any other process by now. So a postmaster
//! counts as alive only where that process is a `postgres` whose working directory is the cluster.
use super::Error;
use super::layout::{Layout, socket_in};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// The postmaster's life, as far as it matters to who wants to use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It starts, or recovers from a crash.
    Starting,
    /// It takes connections.
    Ready,
    /// It shuts down.
    Stopping,
}

/// A postmaster that is alive.
#[derive(Clone, Debug)]
pub(super) struct Postmaster {
    /// Its process.
    pub(super) pid: i32,
    /// The directory of its socket.
    pub(super) socket_directory: PathBuf,
    /// The number in its socket's name.
    pub(super) port: u16,
    /// What it is doing.
    pub(super) phase: Phase,
}

impl Postmaster {
    /// The postmaster of the cluster in `layout`, if one is alive.
    pub(super) fn find(layout: &Layout) -> Result<Option<Self>, Error> {
        let path = pid_file(layout);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::file("read", path)(error)),
        };
        Ok(parse(&text).filter(|postmaster| is_server_of(postmaster.pid, &layout.cluster())))
    }

    /// Whether it is still there.
    pub(super) fn is_alive(&self, layout: &Layout) -> bool {
        is_server_of(self.pid, &layout.cluster())
    }

    /// Sends it `signal`; one that has just ended is no error.
    pub(super) fn signal(&self, signal: Signal) -> io::Result<()> {
        send(self.pid, signal)
    }
}

fn send(pid: i32, signal: Signal) -> io::Result<()> {
    match kill(Pid::from_raw(pid), signal) {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn pid_file(layout: &Layout) -> PathBuf {
    layout.cluster().join("postmaster.pid")
}

/// The lines are: pid, data directory, start time, port, socket directory, address, shared memory, status.
/// A server that has just begun has written only the first ones.
fn parse(text: &[u8]) -> Option<Postmaster> {
    let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).collect();
    let number = |line: usize| std::str::from_utf8(lines.get(line)?).ok()?.parse::<i32>().ok();
    Some(Postmaster {
        pid: number(0)?,
        port: number(3).and_then(|port| u16::try_from(port).ok()).unwrap_or_default(),
        socket_directory: OsString::from_vec(lines.get(4).copied().unwrap_or_default().to_owned()).into(),
        phase: match lines.get(7).copied() {
            Some(b"ready" | b"standby") => Phase::Ready,
            Some(b"stopping") => Phase::Stopping,
            _ => Phase::Starting,
        },
    })
}

/// Whether `pid` is a server process of `cluster`: that is where they all work.
fn is_server_of(pid: i32, cluster: &Path) -> bool {
    let process = Path::new("/proc").join(pid.to_string());
    fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd == cluster)
        && fs::read_to_string(process.join("comm")).is_ok_and(|name| name.trim_end() == "postgres")
}

/// Server processes that a killed postmaster left behind: they end by themselves when they notice, but
/// a busy one may take its time, and no server can start until it has.
fn orphans(layout: &Layout) -> Result<Vec<i32>, Error> {
    let cluster = layout.cluster();
    let processes = fs::read_dir("/proc").map_err(Error::file("list", "/proc"))?;
    let pids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    Ok(pids.filter(|pid| is_server_of(*pid, &cluster)).collect())
}

/// Clears away what a server that is no more left behind, so that a new one can start. Nothing may be
/// alive, and nobody else may be starting one.
pub(super) fn clear(layout: &Layout, socket_directory: &Path) -> Result<(), Error> {
    end_orphans(layout)?;
    disown_pid_file(layout)?;
    let socket = socket_in(socket_directory, super::layout::PORT);
    if UnixStream::connect(&socket).is_ok() {
        return Err(Error::SocketInUse { socket });
    }
    let lock = socket.with_extension(format!("{}.lock", super::layout::PORT));
    for path in [socket, lock] {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Error::file("remove", path)(error)),
            _ => {}
        }
    }
    Ok(())
}

/// Ends orphans as a crash would; what they had committed is in the log.
fn end_orphans(layout: &Layout) -> Result<(), Error> {
    let mut told = false;
    loop {
        let orphans = orphans(layout)?;
        if orphans.is_empty() {
            return Ok(());
        }
        for pid in &orphans {
            send(*pid, Signal::SIGQUIT).map_err(Error::file("end an orphan of the server in", layout.cluster()))?;
        }
        if !told {
            told = true;
            tracing::warn!(server.orphans = orphans.len(), "ending processes that a killed PostgreSQL left behind");
        }
        std::thread::sleep(super::POLL);
    }
}

/// Makes a left-over pid file name us. The server refuses to start while the process named there is
/// alive, whatever that is by now; its own parent it knows for a left-over. Removing the file would work
/// too, and take away the server's guard against orphans that still use the old shared memory.
fn disown_pid_file(layout: &Layout) -> Result<(), Error> {
    let path = pid_file(layout);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::file("read", path)(error)),
    };
    let rest = text.iter().position(|byte| *byte == b'\n').map_or(&[][..], |end| &text[end..]);
    if rest.is_empty() {
        // A full disk may have left it empty, which the server takes for one that is just starting.
        return fs::remove_file(&path).map_err(Error::file("remove", path));
    }
    let ours = [std::process::id().to_string().as_bytes(), rest].concat();
    fs::write(&path, ours).map_err(Error::file("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_file_is_read_at_every_stage_of_its_life() {
        let whole = b"4711\n/data/postgres\n1700000000\n5432\n/data/socket\n\n  12345  6\nready   \n";
        let ready = parse(whole).unwrap();
        assert_eq!((ready.pid, ready.port, ready.phase), (4711, 5432, Phase::Ready));
        assert_eq!(ready.socket_directory, Path::new("/data/socket"));
        assert_eq!(parse(b"4711\n/data/postgres\n1700000000\n5432\n").unwrap().phase, Phase::Starting);
        assert_eq!(parse(b"4711\n/d\n1\n5432\n/s\n\n1 2\nstopping\n").unwrap().phase, Phase::Stopping);
        assert!(parse(b"").is_none());
    }

    #[test]
    fn another_process_is_not_taken_for_the_server() {
        let us = i32::try_from(std::process::id()).unwrap();
        let here = std::env::current_dir().unwrap();
        assert!(!is_server_of(us, &here));
    }
}
