//! Signals that ask a process to stop.
use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Ctrl-C, `kill`, and a terminal that was closed.
pub(super) struct Stops([Signal; 3]);

impl Stops {
    /// Takes them over from now on: they end nothing by themselves any more.
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self([signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?]))
    }

    /// Waits for the next of them.
    pub(super) async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
