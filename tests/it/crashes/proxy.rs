//! A proxy between reporters and the service that cuts connections.
use super::choices::choices;
use rand::RngExt;
use rand::rngs::StdRng;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

/// The part of the run whose choices it follows.
const PART: u64 = 90;
/// Longer than several requests, or several responses, of a connection.
const BYTES_MAX: usize = 3_000;
/// Requests of a connection that are let through before a cut.
const REQUESTS_MAX: usize = 4;

/// Where a connection is cut.
#[derive(Clone, Copy, Debug)]
enum Cut {
    /// After so many bytes of what the client sends.
    Sent(usize),
    /// When so many requests have been passed on, at once: the service has them whole, and nobody to answer.
    Requests(usize),
    /// After so many bytes of what the service answers.
    Answered(usize),
}

/// A proxy, until it is dropped.
pub(super) struct Proxy {
    /// Where it listens.
    pub(super) address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

struct Shared {
    to: SocketAddr,
    cutting: AtomicBool,
    ending: AtomicBool,
    cuts: [AtomicU64; 3],
}

impl Proxy {
    /// Starts a proxy of the service at `to`, which cuts nothing yet.
    pub(super) fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared =
            Arc::new(Shared { to, cutting: AtomicBool::default(), ending: AtomicBool::default(), cuts: Default::default() });
        let accepting = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || accept(&listener, &shared))
        };
        Self { address, shared, accepting: Some(accepting) }
    }

    /// Cuts each connection that is made from now on.
    pub(super) fn cut(&self) {
        self.shared.cutting.store(true, Ordering::Relaxed);
    }

    /// How many connections were cut: in a request, after one, in an answer.
    pub(super) fn cuts(&self) -> [u64; 3] {
        [0, 1, 2].map(|kind| self.shared.cuts[kind].load(Ordering::Relaxed))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ending.store(true, Ordering::Relaxed);
        // Nobody else may come any more, and it waits for somebody.
        drop(TcpStream::connect(self.address));
        drop(self.accepting.take().map(JoinHandle::join));
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut choices = choices(PART);
    while let Ok((client, _)) = listener.accept() {
        if shared.ending.load(Ordering::Relaxed) {
            return;
        }
        let cut = shared.cutting.load(Ordering::Relaxed).then(|| Cut::choose(&mut choices));
        let shared = Arc::clone(shared);
        drop(thread::spawn(move || converse(client, &shared, cut)));
    }
}

/// Passes everything on, both ways, until the cut or the end. What breaks off is no error here.
fn converse(client: TcpStream, shared: &Arc<Shared>, cut: Option<Cut>) {
    let Ok(server) = TcpStream::connect(shared.to) else { return };
    let (Ok(answer_to), Ok(answers)) = (client.try_clone(), server.try_clone()) else { return };
    let answering = {
        let shared = Arc::clone(shared);
        thread::spawn(move || drop(pass(answers, answer_to, |answered| cut?.in_answers(answered), &shared.cuts[2])))
    };
    let count = usize::from(matches!(cut, Some(Cut::Requests(_))));
    drop(pass(client, server, |sent| cut?.in_requests(sent), &shared.cuts[count]));
    drop(answering.join());
}

/// Passes bytes on until `end` says after how many of them to cut, and then closes both sides.
fn pass(mut from: TcpStream, mut to: TcpStream, end: impl Fn(&[u8]) -> Option<usize>, cuts: &AtomicU64) -> io::Result<()> {
    let mut all = Vec::new();
    let mut buffer = [0; 4_096];
    loop {
        let read = from.read(&mut buffer)?;
        if read == 0 {
            return to.shutdown(Shutdown::Write);
        }
        let passed = all.len();
        all.extend_from_slice(&buffer[..read]);
        let Some(end) = end(&all) else {
            to.write_all(&all[passed..])?;
            continue;
        };
        to.write_all(&all[passed..end])?;
        cuts.fetch_add(1, Ordering::Relaxed);
        from.shutdown(Shutdown::Both)?;
        return to.shutdown(Shutdown::Both);
    }
}

impl Cut {
    fn choose(choices: &mut StdRng) -> Self {
        match choices.random_range(0..3) {
            0 => Self::Sent(choices.random_range(1..BYTES_MAX)),
            1 => Self::Requests(choices.random_range(1..=REQUESTS_MAX)),
            _ => Self::Answered(choices.random_range(1..BYTES_MAX)),
        }
    }

    /// Where to cut what the client has `sent`, if it is time.
    fn in_requests(self, sent: &[u8]) -> Option<usize> {
        match self {
            Self::Sent(bytes) => (sent.len() >= bytes).then_some(bytes),
            Self::Requests(requests) => end_of_requests(sent, requests),
            Self::Answered(_) => None,
        }
    }

    /// Where to cut what the service has `answered`, if it is time.
    fn in_answers(self, answered: &[u8]) -> Option<usize> {
        let Self::Answered(bytes) = self else { return None };
        (answered.len() >= bytes).then_some(bytes)
    }
}

/// Where the so-many-eth request ends, once all of it is there.
fn end_of_requests(sent: &[u8], requests: usize) -> Option<usize> {
    let mut end = 0;
    for _ in 0..requests {
        let rest = &sent[end..];
        let head = rest.windows(4).position(|window| window == b"\r\n\r\n")?;
        let text = String::from_utf8_lossy(&rest[..head]).to_lowercase();
        let length = text.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
        end += head + 4 + length.unwrap_or_default();
        if sent.len() < end {
            return None;
        }
    }
    Some(end)
}
