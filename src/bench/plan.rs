//! The declared plan: what is measured, on how many rows, how often and for how long.
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What can be measured, in the order in which it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Subject {
    /// Upserts, single and in batches
    Writes,
    /// Moves and deletes of many tasks
    Bulk,
    /// What bringing up to date costs
    Ticks,
    /// How long a commit takes to show
    Freshness,
    /// HTTP reads, with history and with what is pending
    Reads,
    /// Summing history
    Backfill,
    /// Bytes on disk
    Space,
    /// Reads and folds beside a transaction held open
    LongTransaction,
    /// HTTP ingest, end to end
    Http,
    /// Rows that differ from raw after all kinds of writes
    Correctness,
}

impl Subject {
    /// All of them.
    pub(crate) const ALL: [Self; 10] = [
        Self::Writes,
        Self::Bulk,
        Self::Ticks,
        Self::Freshness,
        Self::Reads,
        Self::Backfill,
        Self::Space,
        Self::LongTransaction,
        Self::Http,
        Self::Correctness,
    ];

    /// What it is called.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Writes => "writes",
            Self::Bulk => "moves and deletes",
            Self::Ticks => "ticks",
            Self::Freshness => "freshness",
            Self::Reads => "reads",
            Self::Backfill => "backfill",
            Self::Space => "space",
            Self::LongTransaction => "a transaction held open",
            Self::Http => "HTTP ingest",
            Self::Correctness => "correctness",
        }
    }

    /// Minutes that it takes at full size on two cores: what is told of the time left.
    pub(super) fn minutes(self) -> u64 {
        match self {
            Self::Writes => 16,
            Self::Bulk | Self::Backfill => 8,
            Self::Ticks => 12,
            Self::Freshness | Self::Space | Self::Correctness => 1,
            Self::Reads => 14,
            Self::LongTransaction => 11,
            Self::Http => 4,
        }
    }
}

/// What a run does.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Rows of history, ascending.
    pub(crate) sizes: Vec<u64>,
    /// What is measured.
    pub(crate) subjects: Vec<Subject>,
    pub(super) scale: Scale,
}

/// How much of it, and for how long.
#[derive(Clone, Debug)]
pub(super) struct Scale {
    /// Whether it only shows that the suite works.
    pub(super) is_quick: bool,
    /// Turns of each comparison.
    pub(super) rounds: usize,
    /// Turns of those that are held to a floor.
    pub(super) careful_rounds: usize,
    /// For how long a rate is measured in a turn.
    pub(super) lasting: Duration,
    /// Writers at once.
    pub(super) writers: &'static [usize],
    /// Rows, of as many tasks, of a writer's batch.
    pub(super) batch_rows: u64,
    /// Tasks that are moved, or deleted, at once.
    pub(super) bulk_tasks: u64,
    /// Fresh rows that a tick finds.
    pub(super) fresh_rows: &'static [u64],
    /// Commits after which is looked at once.
    pub(super) looks: usize,
    /// Requests of each kind, at most.
    pub(super) requests: usize,
    /// For how long they are repeated, at most.
    pub(super) asking: Duration,
    /// Change rows that are pending for reads.
    pub(super) pending: &'static [u64],
    /// For how long usage trickles in while reads are measured.
    pub(super) trickling: Duration,
    /// For how long a transaction is held open.
    pub(super) held_open: Duration,
    /// Clients at once.
    pub(super) clients: &'static [usize],
    /// For how long they report in a turn.
    pub(super) reporting: Duration,
}

/// Events a second that come in while something else is measured.
pub(super) const INFLOW: u32 = 1_500;
/// Reports of a batch over HTTP.
pub(super) const BATCH_REPORTS: usize = 100;
/// The largest history on which the usual design's own backfill, and a materialized view's refresh, are measured: at more rows each takes
/// longer than all the rest.
pub(super) const SLOW_ROWS_MAX: u64 = 2_000_000;

/// The smallest history on which speed is held to floors: beside fewer rows summing raw is cheap, and what is the same each time weighs more.
pub(super) const FLOOR_ROWS: u64 = 1_000_000;

/// Rows of history unless told otherwise.
const SIZES: [u64; 4] = [100_000, 1_000_000, 2_000_000, 10_000_000];
/// Those of a quick run.
const SIZES_QUICK: [u64; 1] = [3_000];

impl Plan {
    /// Everything, or only some subjects, at the usual sizes unless there are others.
    pub(crate) fn new(is_quick: bool, sizes: Option<Vec<u64>>, subjects: Vec<Subject>) -> Self {
        let usual = if is_quick { SIZES_QUICK.to_vec() } else { SIZES.to_vec() };
        let mut sizes = sizes.unwrap_or(usual);
        sizes.sort_unstable();
        sizes.dedup();
        let mut subjects = if subjects.is_empty() { Subject::ALL.to_vec() } else { subjects };
        subjects.sort_unstable();
        subjects.dedup();
        Self { sizes, subjects, scale: if is_quick { Scale::quick() } else { Scale::full() } }
    }

    /// The size on which one size is enough: the largest up to a million rows.
    pub(super) fn middle(&self) -> u64 {
        self.sizes.iter().copied().filter(|rows| *rows <= 1_000_000).max().unwrap_or(self.smallest())
    }

    pub(super) fn smallest(&self) -> u64 {
        self.sizes.first().copied().unwrap_or(SIZES[0])
    }

    pub(super) fn largest(&self) -> u64 {
        self.sizes.last().copied().unwrap_or(SIZES[0])
    }

    /// The size at which contenders are compared that grow with history: the largest on which the slow ones still take part.
    pub(super) fn judged(&self) -> u64 {
        self.sizes.iter().copied().filter(|rows| *rows <= SLOW_ROWS_MAX).max().unwrap_or(self.smallest())
    }

    /// How many writers there are at most.
    pub(super) fn writers_max(&self) -> usize {
        self.scale.writers.iter().copied().max().unwrap_or(1)
    }
}

impl Scale {
    fn full() -> Self {
        Self {
            is_quick: false,
            rounds: 3,
            careful_rounds: 7,
            lasting: Duration::from_millis(1_500),
            writers: &[1, 8, 32, 64],
            batch_rows: 1_000,
            bulk_tasks: 100_000,
            fresh_rows: &[200, 2_000, 20_000],
            looks: 200,
            requests: 100,
            asking: Duration::from_millis(1_500),
            pending: &[1_000, 10_000, 1_000_000],
            trickling: Duration::from_secs(20),
            held_open: Duration::from_mins(10),
            clients: &[64, 512, 4_096],
            reporting: Duration::from_secs(5),
        }
    }

    fn quick() -> Self {
        Self {
            is_quick: true,
            rounds: 1,
            careful_rounds: 1,
            lasting: Duration::from_millis(50),
            writers: &[4],
            batch_rows: 100,
            bulk_tasks: 150,
            fresh_rows: &[20],
            looks: 5,
            requests: 2,
            asking: Duration::from_millis(200),
            pending: &[200],
            trickling: Duration::from_millis(500),
            held_open: Duration::from_secs(1),
            clients: &[8],
            reporting: Duration::from_millis(300),
        }
    }
}
