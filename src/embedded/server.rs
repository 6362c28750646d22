//! Starts the server, waits until it takes connections, and stops it. All under the transition lock.
use super::Error;
use super::binaries;
use super::initdb;
use super::layout::Layout;
use super::log::Log;
use super::postmaster::{self, Phase, Postmaster};
use super::settings;
use super::user::ServerUser;
use nix::sys::signal::Signal;
use std::os::unix::process::CommandExt;
use std::process::{Child, ExitStatus};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How often we say that we are still waiting.
const PROGRESS: Duration = Duration::from_secs(5);
/// How long a shutdown may take before the server is ended as by a crash. It flushes its memory first.
const SHUTDOWN_MAX: Duration = Duration::from_mins(2);
/// How long that may take.
const QUIT_MAX: Duration = Duration::from_secs(20);

/// The server as one user sees it.
#[derive(Debug)]
pub(super) struct Server {
    /// Its main process.
    pub(super) postmaster: Postmaster,
    /// The same process, if we started it: it is our child and wants to be waited for.
    child: Option<Child>,
}

impl Server {
    /// The running server, or a new one.
    pub(super) fn join_or_start(layout: &Layout) -> Result<Self, Error> {
        loop {
            if let Some(postmaster) = join(layout)? {
                return Ok(Self { postmaster, child: None });
            }
            if let Some(server) = start(layout)? {
                return Ok(server);
            }
        }
    }

    /// Whether it is there.
    pub(super) fn is_alive(&mut self, layout: &Layout) -> bool {
        !self.has_ended(layout)
    }

    /// Stops it: transactions in progress are ended, what was committed is flushed.
    pub(super) fn stop(&mut self, layout: &Layout) -> Result<(), Error> {
        // It may have crashed, and somebody else may have started the one that runs now.
        let Some(current) = Postmaster::find(layout)? else { return Ok(()) };
        self.postmaster = current;
        self.signal(layout, Signal::SIGINT)?;
        if self.wait_for_end(layout, SHUTDOWN_MAX) {
            return Ok(());
        }
        let pid = self.postmaster.pid;
        tracing::warn!(
            server.pid = pid,
            "the private PostgreSQL takes too long to shut down; ending it at once, it will recover at its next start"
        );
        self.signal(layout, Signal::SIGQUIT)?;
        if self.wait_for_end(layout, QUIT_MAX) {
            return Ok(());
        }
        Err(Error::Stop { pid, seconds: (SHUTDOWN_MAX + QUIT_MAX).as_secs(), log: layout.log() })
    }

    fn signal(&self, layout: &Layout, signal: Signal) -> Result<(), Error> {
        self.postmaster.signal(signal).map_err(Error::file("stop the server in", layout.cluster()))
    }

    fn wait_for_end(&mut self, layout: &Layout, at_most: Duration) -> bool {
        let since = Instant::now();
        let mut progress = Progress::new();
        while !self.has_ended(layout) {
            if since.elapsed() > at_most {
                return false;
            }
            progress.say("the private PostgreSQL is shutting down", &Log::of_running(layout));
            sleep(super::POLL);
        }
        true
    }

    fn has_ended(&mut self, layout: &Layout) -> bool {
        // A child that has ended is a zombie until it is waited for.
        if let Some(child) = &mut self.child
            && ended(child).is_some()
        {
            self.child = None;
        }
        !self.postmaster.is_alive(layout)
    }
}

/// Joins a server that is running or about to; waits for the end of one that is about to stop.
fn join(layout: &Layout) -> Result<Option<Postmaster>, Error> {
    let log = Log::of_running(layout);
    let mut progress = Progress::new();
    while let Some(postmaster) = Postmaster::find(layout)? {
        match postmaster.phase {
            Phase::Ready => return Ok(Some(postmaster)),
            Phase::Starting => progress.say("the private PostgreSQL is starting", &log),
            Phase::Stopping => progress.say("the private PostgreSQL is shutting down, to be started again", &log),
        }
        sleep(super::POLL);
    }
    Ok(None)
}

/// Starts a server where none is alive. `None`: it ended because another one came in between.
fn start(layout: &Layout) -> Result<Option<Server>, Error> {
    let user = ServerUser::of(layout)?;
    let existing = initdb::existing_major(layout)?;
    let binaries = match existing {
        Some(major) => binaries::installed().of_major(major, &layout.cluster())?,
        None => binaries::installed().newest()?,
    };
    user.check_reach(layout.root(), &binaries.path("postgres"))?;
    initdb::remove_unfinished(layout)?;
    if existing.is_none() {
        tracing::info!(data_dir = %layout.root().display(), server.version = binaries.major, "making a private PostgreSQL cluster");
        initdb::create(layout, &binaries, &user)?;
    }
    let socket_directory = layout.socket_directory(&user)?;
    postmaster::clear(layout, &socket_directory)?;
    settings::write_each_start(layout, &socket_directory, &user)?;

    let (log, file) = Log::open(layout)?;
    let program = binaries.path("postgres");
    let mut command = user.command(&program);
    let duplicate = file.try_clone().map_err(Error::file("open", layout.log()))?;
    // In a process group of its own: Ctrl-C in our terminal is for us, who stop it when our work is done.
    command.arg("-D").arg(layout.cluster()).stdout(duplicate).stderr(file).process_group(0);
    let mut child = command.spawn().map_err(|error| user.spawn_error(&program, error))?;
    let mut progress = Progress::new();
    loop {
        // Looked at before the file: a server that ends removes it.
        let has_ended = ended(&mut child).is_some();
        let found = Postmaster::find(layout)?;
        let is_ours = |postmaster: &Postmaster| u32::try_from(postmaster.pid).is_ok_and(|pid| pid == child.id());
        match found {
            Some(postmaster) if is_ours(&postmaster) && postmaster.phase == Phase::Ready && !has_ended => {
                return Ok(Some(Server { postmaster, child: Some(child) }));
            }
            Some(postmaster) if has_ended && !is_ours(&postmaster) => return Ok(None),
            _ if has_ended => return Err(Error::Start { log: layout.log(), tail: log.tail() }),
            _ => progress.say("the private PostgreSQL is starting", &log),
        }
        sleep(super::POLL);
    }
}

fn ended(child: &mut Child) -> Option<ExitStatus> {
    // An error means that it is not ours to wait for, so nothing is known of it.
    child.try_wait().ok().flatten()
}

/// Says every few seconds what we are waiting for.
struct Progress {
    since: Instant,
    said: Instant,
}

impl Progress {
    fn new() -> Self {
        let now = Instant::now();
        Self { since: now, said: now }
    }

    fn say(&mut self, what: &str, log: &Log) {
        if self.said.elapsed() > PROGRESS {
            self.said = Instant::now();
            tracing::warn!(waiting_seconds = self.since.elapsed().as_secs(), server.says = log.last_line().trim(), "{what}");
        }
    }
}
