//! Signals that ask a process to stop.
use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Ctrl-C, `kill`, and, for most, a terminal that was closed.
pub(super) struct Stops([Signal; 2], Hangups);

impl Stops {
    /// Takes them over from now on: they end nothing by themselves any more.
    pub(super) fn listen() -> io::Result<Self> {
        Self::with(Hangups::listen()?)
    }

    /// The same, but for the terminal: SIGHUP means something else.
    pub(super) fn but_hangups() -> io::Result<Self> {
        Self::with(Hangups::none())
    }

    fn with(hangups: Hangups) -> io::Result<Self> {
        Ok(Self([signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?], hangups))
    }

    /// Waits for the next of them.
    pub(super) async fn next(&mut self) {
        let Self([interrupt, terminate], hangups) = self;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            () = hangups.next() => {}
        }
    }
}

/// SIGHUP: the terminal was closed, or, by old custom of services, read your files again.
pub(super) struct Hangups(Option<Signal>);

impl Hangups {
    /// Takes it over from now on.
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self(Some(signal(SignalKind::hangup())?)))
    }

    /// Waits for it where nobody listens: for ever.
    pub(super) fn none() -> Self {
        Self(None)
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) {
        match &mut self.0 {
            Some(signal) => drop(signal.recv().await),
            None => std::future::pending().await,
        }
    }
}
