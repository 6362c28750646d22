//! What the fleet has done, counted.
use super::client::Answer;
use super::step::Kind;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What the fleet has done since it started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Steps of each kind that were carried out.
    pub steps: BTreeMap<Kind, u64>,
    /// Reports that were stored under a new identity.
    pub created: u64,
    /// Reports that took the place of what was stored.
    pub replaced: u64,
    /// Reports that were stored just so already.
    pub unchanged: u64,
    /// Reports that were older than what is stored.
    pub stale: u64,
    /// Calls that the service refused.
    pub refused: u64,
    /// Why the last of them was refused.
    pub last_refusal: Option<String>,
    /// Why crews wait for the service right now; none when none does.
    pub away: Option<String>,
}

impl Counts {
    /// Reports that were acknowledged.
    pub fn reports(&self) -> u64 {
        self.created + self.replaced + self.unchanged + self.stale
    }

    /// Steps of these kinds.
    pub fn steps_of(&self, kinds: &[Kind]) -> u64 {
        kinds.iter().filter_map(|kind| self.steps.get(kind)).sum()
    }
}

/// Counts what several crews do.
#[derive(Debug, Default)]
pub(super) struct Tally(Mutex<Counts>);

impl Tally {
    /// What was counted so far.
    pub(super) fn counts(&self) -> Counts {
        self.lock().clone()
    }

    /// A step was carried out.
    pub(super) fn done(&self, kind: Kind) {
        *self.lock().steps.entry(kind).or_default() += 1;
    }

    /// A call was answered.
    pub(super) fn answered(&self, answer: Answer) {
        let mut counts = self.lock();
        counts.created += answer.created;
        counts.replaced += answer.replaced;
        counts.unchanged += answer.unchanged;
        counts.stale += answer.stale;
        counts.away = None;
    }

    /// A call was refused.
    pub(super) fn refused(&self, reason: String) {
        let mut counts = self.lock();
        counts.refused += 1;
        counts.last_refusal = Some(reason);
        counts.away = None;
    }

    /// Nobody answered a call.
    pub(super) fn away(&self, reason: String) {
        self.lock().away = Some(reason);
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
