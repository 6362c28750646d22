//! The crews at work: each says one thing after another, at its share of the pace, until told to rest.
use super::call::{Call, Method};
use super::cast::CREWS;
use super::client::{Answer, Client, Failure};
use super::crew::{Crew, Step};
use super::tally::{Counts, Tally};
use crate::clock::Clock;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Pause before what was not answered is sent again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// What was missed (the machine was busy) is made up for up to here, and then let go.
const LAG_MAX: Duration = Duration::from_secs(1);

/// How many reports a second the whole fleet sends, about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace(u32);

impl Pace {
    /// The fastest pace.
    pub const MAX: u32 = 10_000;

    /// So many reports a second: 1 to [`Pace::MAX`]; others are brought into this range.
    pub fn new(reports_per_second: u32) -> Self {
        Self(reports_per_second.clamp(1, Self::MAX))
    }

    /// The time that one crew takes for one report.
    fn interval(self) -> Duration {
        Duration::from_secs(u64::try_from(CREWS).expect("a few crews")) / self.0
    }
}

/// The crews, at work.
#[derive(Debug)]
pub(super) struct Fleet {
    tally: Arc<Tally>,
    stop: CancellationToken,
    crews: TaskTracker,
}

impl Fleet {
    /// Sets the crews going.
    pub(super) fn start(client: &Client, pace: Pace, seed: u64, clock: &Clock) -> Self {
        let fleet = Self { tally: Arc::default(), stop: CancellationToken::new(), crews: TaskTracker::new() };
        let now = clock.now();
        for number in 0..CREWS {
            let worker = Worker {
                client: client.clone(),
                clock: clock.clone(),
                tally: Arc::clone(&fleet.tally),
                stop: fleet.stop.clone(),
            };
            fleet.crews.spawn(worker.work(Crew::new(number, seed, now), pace.interval()));
        }
        fleet.crews.close();
        fleet
    }

    /// What was done so far.
    pub(super) fn counts(&self) -> Counts {
        self.tally.counts()
    }

    /// Waits for the answers to what was said, and says no more.
    pub(super) async fn stop(&self) {
        self.stop.cancel();
        self.crews.wait().await;
    }
}

/// What carries out a crew's steps.
struct Worker {
    client: Client,
    clock: Clock,
    tally: Arc<Tally>,
    stop: CancellationToken,
}

impl Worker {
    async fn work(self, mut crew: Crew, interval: Duration) {
        let mut due = Instant::now();
        while !self.stop.is_cancelled() {
            let Step { kind, calls } = crew.next(self.clock.now());
            let reports: u32 = calls.iter().map(|call| call.reports).sum();
            for call in calls {
                self.say(call).await;
            }
            // Also when it was refused: it will be, again.
            self.tally.done(kind);
            due = (due + interval * reports).max(Instant::now().checked_sub(LAG_MAX).unwrap_or(due));
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = sleep_until(due) => {}
            }
        }
    }

    /// Says it until it is answered: whatever it is, saying it twice changes nothing more.
    async fn say(&self, call: Call) {
        let mut again = false;
        loop {
            match self.client.send(call.clone()).await {
                Ok(answer) => return self.tally.answered(answer),
                // The first time it was done, and the answer was lost.
                Err(Failure::Refused { status: 404, .. }) if again && matches!(call.method, Method::Delete) => {
                    return self.tally.answered(Answer::default());
                }
                Err(refused @ Failure::Refused { .. }) => return self.tally.refused(refused.to_string()),
                Err(Failure::Away(reason)) => self.tally.away(reason),
            }
            again = true;
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = sleep(RETRY_PAUSE) => {}
            }
        }
    }
}
