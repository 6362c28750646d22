//! What writers met, phase by phase.
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// What goes on while writers write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// Nobody but the host is there.
    Before,
    /// `tallybook migrate up --adopt`.
    Adopt,
    /// `tallybook serve`, which folds, and `tallybook backfill`.
    Backfill,
    /// The same service, and readers.
    Serve,
    /// `tallybook migrate down`.
    Down,
    /// Nobody but the host is there again.
    After,
}

impl Phase {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::Adopt => "adopt",
            Self::Backfill => "backfill",
            Self::Serve => "serve",
            Self::Down => "migrate down",
            Self::After => "after",
        }
    }

    /// Whether nothing of ours is there.
    pub(super) fn is_without_us(self) -> bool {
        matches!(self, Self::Before | Self::After)
    }
}

/// What was met in one phase.
#[derive(Clone, Debug, Default)]
pub(super) struct Met {
    pub(super) lasted: Duration,
    pub(super) statements: u64,
    pub(super) longest: Duration,
    /// Which statement that was.
    pub(super) longest_of: &'static str,
    pub(super) errors: u64,
    pub(super) first_error: Option<String>,
    /// How many took up to so many microseconds, a power of two.
    latencies: BTreeMap<u128, u64>,
}

impl Met {
    /// Statements a second.
    pub(super) fn rate(&self) -> u64 {
        let millis = self.lasted.as_millis().max(1);
        u64::try_from(u128::from(self.statements) * 1_000 / millis).unwrap()
    }

    /// What 99 of 100 statements took at most, to the next power of two.
    pub(super) fn nearly_all(&self) -> Duration {
        let mut left = self.statements - self.statements / 100;
        for (micros, count) in &self.latencies {
            left = left.saturating_sub(*count);
            if left == 0 {
                return Duration::from_micros(u64::try_from(*micros).unwrap());
            }
        }
        self.longest
    }
}

/// Which phase it is, and what is met in it. A statement belongs to the phase in which it ends, but what began while we were there is ours.
pub(super) struct Measure(Mutex<Inner>);

struct Inner {
    phase: Phase,
    /// The one before it.
    before: Phase,
    since: Instant,
    met: BTreeMap<Phase, Met>,
}

impl Measure {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Inner { phase: Phase::Before, before: Phase::Before, since: Instant::now(), met: BTreeMap::new() }))
    }

    /// Goes on to `phase`.
    pub(super) fn enter(&self, phase: Phase) {
        let mut inner = self.0.lock().unwrap();
        inner.close();
        inner.before = std::mem::replace(&mut inner.phase, phase);
    }

    pub(super) fn told(&self, what: &'static str, took: Duration, error: Option<&sqlx::Error>) {
        let mut inner = self.0.lock().unwrap();
        let phase = if inner.phase.is_without_us() && took > inner.since.elapsed() { inner.before } else { inner.phase };
        let met = inner.met.entry(phase).or_default();
        met.statements += 1;
        *met.latencies.entry(took.as_micros().next_power_of_two()).or_default() += 1;
        if took > met.longest {
            (met.longest, met.longest_of) = (took, what);
        }
        if let Some(error) = error {
            met.errors += 1;
            met.first_error.get_or_insert_with(|| format!("{what}: {error}"));
        }
    }

    /// All that was met, when the last phase is over.
    pub(super) fn end(&self) -> BTreeMap<Phase, Met> {
        let mut inner = self.0.lock().unwrap();
        inner.close();
        inner.met.clone()
    }
}

impl Inner {
    fn close(&mut self) {
        let (phase, now) = (self.phase, Instant::now());
        self.met.entry(phase).or_default().lasted += now - self.since;
        self.since = now;
    }
}
