//! Clients that report one event after the other, each again and again until it is acknowledged.
use super::{Client, PATIENCE, POLL};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    accepted: AtomicUsize,
    refused: AtomicUsize,
}

pub(crate) struct Reporters {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Vec<String>>>,
}

/// A request with the event of that number.
pub(crate) fn report(number: u64) -> Value {
    json!({"reports": [{
        "task_id": super::cluster::TASK, "provider": "p", "model": "outage", "event_key": key(number), "input_tokens": 1, "output_tokens": 0,
        "cache_read_tokens": 0, "cache_write_tokens": 0
    }]})
}

/// Keys sort as their numbers do.
fn key(number: u64) -> String {
    format!("{number:020}")
}

impl Reporters {
    pub(crate) fn start(client: &Client, count: usize) -> Self {
        Self::start_from(client, count, 0)
    }

    /// With events from number `first` on.
    pub(crate) fn start_from(client: &Client, count: usize, first: u64) -> Self {
        let shared = Arc::new(Shared::default());
        let threads = (0..count).map(|reporter| {
            let (shared, client) = (Arc::clone(&shared), client.clone());
            std::thread::spawn(move || work(&shared, &client, first + u64::try_from(reporter).unwrap() * 1_000_000))
        });
        Self { threads: threads.collect(), shared }
    }

    pub(crate) async fn wait_for_more_accepted(&self, count: usize) {
        wait(&self.shared.accepted, count).await;
    }

    pub(crate) async fn wait_for_more_refused(&self, count: usize) {
        wait(&self.shared.refused, count).await;
    }

    /// Lets each finish its event, and gives the keys of all that were acknowledged, in order.
    pub(crate) async fn stop(self) -> Vec<String> {
        self.shared.stop.store(true, Ordering::Relaxed);
        let mut acknowledged = Vec::new();
        for thread in self.threads {
            acknowledged.extend(super::blocking(move || thread.join().unwrap()).await);
        }
        acknowledged.sort();
        acknowledged
    }
}

async fn wait(counter: &AtomicUsize, more: usize) {
    let (began, goal) = (Instant::now(), counter.load(Ordering::Relaxed) + more);
    while counter.load(Ordering::Relaxed) < goal {
        assert!(began.elapsed() < PATIENCE, "waited in vain for {more} answers");
        tokio::time::sleep(POLL).await;
    }
}

fn work(shared: &Shared, client: &Client, first: u64) -> Vec<String> {
    let mut acknowledged = Vec::new();
    for number in first.. {
        if shared.stop.load(Ordering::Relaxed) {
            break;
        }
        loop {
            let answer = client.post("/v1/usage", &report(number));
            if answer.status == 200 {
                break;
            }
            answer.assert_away("a report while the server is stopped");
            shared.refused.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(POLL);
        }
        shared.accepted.fetch_add(1, Ordering::Relaxed);
        acknowledged.push(key(number));
    }
    acknowledged
}
