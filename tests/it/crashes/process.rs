//! A process of ours: what it prints, how it ends, and `kill -9`.
use super::patience::wait_for;
use nix::errno::Errno;
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use std::io::{self, BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// Text that is being read from a process.
type Text = Arc<Mutex<String>>;

/// A process, killed when this is dropped.
pub(super) struct Process {
    child: Child,
    printed: Text,
    logged: Text,
    readers: Vec<JoinHandle<()>>,
}

/// A process that has ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    pub(super) printed: String,
    pub(super) logged: String,
}

impl Process {
    pub(super) fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (printed, logged) = (Text::default(), Text::default());
        let readers = vec![
            follow(child.stdout.take().unwrap(), Arc::clone(&printed)),
            follow(child.stderr.take().unwrap(), Arc::clone(&logged)),
        ];
        Self { child, printed, logged, readers }
    }

    /// What it has printed so far.
    pub(super) fn printed(&self) -> String {
        self.printed.lock().unwrap().clone()
    }

    /// What it has logged so far.
    pub(super) fn logged(&self) -> String {
        self.logged.lock().unwrap().clone()
    }

    pub(super) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// `kill -9`, or another signal, and the end.
    pub(super) fn end_with(self, signal: Signal) -> Ended {
        send(i32::try_from(self.child.id()).unwrap(), signal);
        self.end()
    }

    /// Waits for the end.
    pub(super) fn end(mut self) -> Ended {
        let status = wait_for("the end of a process", || self.child.try_wait().unwrap());
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
        Ended { status, printed: self.printed(), logged: self.logged() }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has ended already, unless the test failed.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Sends `signal` to a process of ours; one that has just ended is no error.
pub(super) fn send(pid: i32, signal: Signal) {
    match signal::kill(Pid::from_raw(pid), signal) {
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(error) => panic!("cannot signal process {pid}: {error}"),
    }
}

/// Reads line by line until the end, so that a full pipe never stops a process.
fn follow(from: impl Read + Send + 'static, text: Text) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut line = String::new();
        // A line that is cut off by a kill may end inside a character.
        while matches!(from.read_line(&mut line), Ok(1..)) {
            text.lock().unwrap().push_str(&line);
            line.clear();
        }
        drop(io::copy(&mut from, &mut io::sink()));
    })
}
