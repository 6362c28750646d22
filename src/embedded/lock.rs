//! Who may do what with a data directory, as locks that end with their process, however it ends.
//!
//! - `serve.lock`, exclusive: the one service.
//! - `users.lock`, shared: everybody who uses the server, services and commands, for as long as they do.
//! - `transition.lock`, exclusive: whoever starts the server, stops it, comes or goes.
//!
//! Invariant: nobody comes or goes without the transition lock. So who leaves and gets `users.lock`
//! alone is the last user, and stays so until it has stopped the server.
use super::Error;
use super::layout::Layout;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How often we look whether a lock has become free.
const POLL: Duration = Duration::from_millis(20);
/// After how long we say that we wait.
const QUIET: Duration = Duration::from_secs(2);

/// A lock that is held until it is dropped.
#[derive(Debug)]
struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    fn open(layout: &Layout, name: &str) -> Result<Self, Error> {
        let path = layout.lock(name);
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = file.map_err(Error::file("open", &path))?;
        layout.hand_over(&path).map_err(Error::file("hand over", &path))?;
        Ok(Self { file, path })
    }

    /// Whether we got it.
    fn try_exclusive(&self) -> Result<bool, Error> {
        match self.file.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(source)) => Err(Error::file("lock", &self.path)(source)),
        }
    }

    fn unlock(&self) -> Result<(), Error> {
        self.file.unlock().map_err(Error::file("unlock", &self.path))
    }
}

impl Drop for Lock {
    /// Unlocks in so many words: a child that another thread is just forking has our descriptor until
    /// it runs its program, and closing ours alone would leave the lock with it.
    fn drop(&mut self) {
        if let Err(error) = self.unlock() {
            tracing::warn!(%error, "a lock is left to the end of the process");
        }
    }
}

/// The right to be the one service on a data directory.
#[derive(Debug)]
pub(super) struct Serving(#[expect(dead_code, reason = "held, not used")] Lock);

impl Serving {
    /// Takes it, or says who has it.
    pub(super) fn begin(layout: &Layout) -> Result<Self, Error> {
        let mut lock = Lock::open(layout, "serve")?;
        if !lock.try_exclusive()? {
            let mut text = String::new();
            let pid = lock.file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
            return Err(Error::AlreadyServed { data_dir: layout.root().to_owned(), pid });
        }
        let written = lock.file.set_len(0).and_then(|()| lock.file.rewind());
        written.and_then(|()| writeln!(lock.file, "{}", std::process::id())).map_err(Error::file("write", &lock.path))?;
        Ok(Self(lock))
    }
}

/// The right to start and stop the server, to come and to go.
#[derive(Debug)]
pub(super) struct Transition(#[expect(dead_code, reason = "held, not used")] Lock);

impl Transition {
    /// Waits for it.
    pub(super) fn begin(layout: &Layout) -> Result<Self, Error> {
        let lock = Lock::open(layout, "transition")?;
        let since = Instant::now();
        let mut said = false;
        while !lock.try_exclusive()? {
            if !said && since.elapsed() > QUIET {
                said = true;
                tracing::warn!(
                    data_dir = %layout.root().display(),
                    "waiting for another tallybook process that starts or stops the private PostgreSQL"
                );
            }
            sleep(POLL);
        }
        Ok(Self(lock))
    }
}

/// The mark of a user of the server.
#[derive(Debug)]
pub(super) struct Using(Lock);

impl Using {
    /// Comes in.
    pub(super) fn begin(layout: &Layout, _: &Transition) -> Result<Self, Error> {
        let lock = Lock::open(layout, "users")?;
        // Only a leaving user takes it exclusively, under the transition lock that we hold: this does not block.
        lock.file.lock_shared().map_err(Error::file("lock", &lock.path))?;
        Ok(Self(lock))
    }

    /// Goes, and tells whether nobody is left.
    pub(super) fn end(self, _: &Transition) -> Result<bool, Error> {
        self.0.unlock()?;
        self.0.try_exclusive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout() -> (tempfile::TempDir, Layout) {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::create(directory.path()).unwrap();
        (directory, layout)
    }

    #[test]
    fn one_serves_and_the_second_learns_who() {
        let (_directory, layout) = layout();
        let first = Serving::begin(&layout).unwrap();
        let refused = Serving::begin(&layout).unwrap_err();
        let us = i32::try_from(std::process::id()).unwrap();
        assert!(matches!(refused, Error::AlreadyServed { pid: Some(pid), .. } if pid == us), "{refused}");
        drop(first);
        Serving::begin(&layout).unwrap();
    }

    #[test]
    fn only_the_last_user_learns_that_nobody_is_left() {
        let (_directory, layout) = layout();
        let transition = Transition::begin(&layout).unwrap();
        let [a, b, c] = [(); 3].map(|()| Using::begin(&layout, &transition).unwrap());
        assert!(!b.end(&transition).unwrap());
        assert!(!a.end(&transition).unwrap());
        let d = Using::begin(&layout, &transition).unwrap();
        assert!(!c.end(&transition).unwrap());
        assert!(d.end(&transition).unwrap());
    }
}
