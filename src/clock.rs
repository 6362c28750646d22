//! Where the time comes from, so that tests can move it.
use jiff::{SignedDuration, Timestamp};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Where the machine's clock begins to count what has elapsed.
static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// A source of the current time: the system's, or one that a test holds still.
#[derive(Clone, Debug, Default)]
pub struct Clock(Option<Arc<Mutex<Timestamp>>>);

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self(None)
    }

    /// A clock that stands at `now` until it is moved; its clones move with it.
    pub fn fixed(now: Timestamp) -> Self {
        Self(Some(Arc::new(Mutex::new(now))))
    }

    /// The current instant.
    #[expect(clippy::disallowed_methods, reason = "the one place that may ask the machine")]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            None => Timestamp::now(),
            Some(fixed) => *fixed.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// How much time has passed since some instant in the past, which stays the same: it never goes back, whatever is done to the
    /// machine's time. A fixed clock counts from 1970.
    pub fn elapsed(&self) -> Duration {
        match &self.0 {
            None => BEGAN.elapsed(),
            Some(_) => Duration::try_from(self.now().as_duration()).unwrap_or_default(),
        }
    }

    /// Moves a fixed clock by `step`; the system's clock cannot be moved.
    ///
    /// # Panics
    /// When this is the system's clock, or the time leaves jiff's range.
    pub fn advance(&self, step: SignedDuration) {
        let fixed = self.0.as_ref().expect("only a fixed clock can be moved");
        let mut now = fixed.lock().unwrap_or_else(PoisonError::into_inner);
        *now = now.checked_add(step).expect("a test's time stays in range");
    }
}
