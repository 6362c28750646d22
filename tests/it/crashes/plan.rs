//! Whom to kill, and when.
use rand::seq::{IndexedRandom, SliceRandom};
use std::fmt;

/// Who is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Victim {
    /// The service's process.
    Service,
    /// PostgreSQL's main process; its other processes notice.
    Postmaster,
    /// The PostgreSQL process that does the work, or any other one; the main process notices, and ends all of them.
    Backend,
    /// All of these at once, as when the machine goes down.
    Everything,
    /// The command that does the work.
    Command,
}

/// What is going on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Work {
    /// Whatever happens to.
    Any,
    /// Reports are being stored.
    Ingest,
    /// Changes are being folded into the rollups.
    Fold,
    /// A slice of history is being covered.
    Backfill,
    /// The schema is being brought up to date, on data.
    Migration,
    /// A file is being read.
    Import,
    /// Old usage is being sealed.
    Sealing,
    /// PostgreSQL begins to recover from a kill of everything.
    Recovery,
}

/// How far the work has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Stage {
    /// Anywhere.
    Any,
    /// It has written, and not committed.
    Written,
    /// It is committed, and nobody has been told.
    Committed,
}

/// When to kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Point {
    pub(super) work: Work,
    pub(super) stage: Stage,
}

/// A kill to come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kill {
    pub(super) victim: Victim,
    pub(super) point: Point,
}

pub(super) const VICTIMS: [Victim; 5] =
    [Victim::Service, Victim::Postmaster, Victim::Backend, Victim::Everything, Victim::Command];

pub(super) const POINTS: [Point; 12] = [
    Point { work: Work::Any, stage: Stage::Any },
    Point { work: Work::Ingest, stage: Stage::Written },
    Point { work: Work::Ingest, stage: Stage::Committed },
    Point { work: Work::Fold, stage: Stage::Written },
    Point { work: Work::Fold, stage: Stage::Committed },
    Point { work: Work::Import, stage: Stage::Written },
    Point { work: Work::Backfill, stage: Stage::Written },
    Point { work: Work::Backfill, stage: Stage::Committed },
    Point { work: Work::Migration, stage: Stage::Written },
    Point { work: Work::Migration, stage: Stage::Committed },
    Point { work: Work::Import, stage: Stage::Committed },
    Point { work: Work::Recovery, stage: Stage::Any },
];

/// For instances of their own: the migrations that others go back on would give up what is sealed.
pub(super) const SEALING: [Point; 2] =
    [Point { work: Work::Sealing, stage: Stage::Written }, Point { work: Work::Sealing, stage: Stage::Committed }];

impl Point {
    /// Who takes part, and can be killed.
    fn victims(self) -> &'static [Victim] {
        use Victim::{Backend, Command, Everything, Postmaster, Service};
        match self.work {
            Work::Any | Work::Ingest | Work::Fold => &[Service, Postmaster, Backend, Everything],
            Work::Sealing => &[Postmaster, Backend, Everything, Command],
            Work::Backfill | Work::Migration | Work::Import => &[Service, Postmaster, Backend, Everything, Command],
            // A server that does not get through its recovery is reported, and its service ends.
            Work::Recovery => &[Service, Everything],
        }
    }
}

/// `count` kills: `points` in turn, each with its victims in a random order before any comes again.
pub(super) fn kills(points: &[Point], choices: &mut impl rand::RngExt, count: usize) -> Vec<Kill> {
    let mut left: Vec<Vec<Victim>> = vec![Vec::new(); points.len()];
    let mut kills = Vec::with_capacity(count);
    for (point, victims) in (0..count).map(|n| (points[n % points.len()], n % points.len())) {
        let victims = &mut left[victims];
        if victims.is_empty() {
            victims.extend(point.victims());
            victims.shuffle(choices);
        }
        kills.extend(victims.pop().map(|victim| Kill { victim, point }));
    }
    kills
}

/// One of `from`.
pub(super) fn one_of<T: Copy>(from: &[T], choices: &mut impl rand::RngExt) -> T {
    *from.choose(choices).expect("there is something to choose from")
}

impl fmt::Display for Kill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} during {}", self.victim, self.point)
    }
}

impl fmt::Display for Victim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Service => "service",
            Self::Postmaster => "postmaster",
            Self::Backend => "backend",
            Self::Everything => "everything",
            Self::Command => "command",
        })
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let work = match self.work {
            Work::Any => "any moment",
            Work::Ingest => "ingest",
            Work::Fold => "fold",
            Work::Backfill => "backfill slice",
            Work::Migration => "migration",
            Work::Import => "import",
            Work::Sealing => "sealing",
            Work::Recovery => "recovery from a kill",
        };
        let stage = match self.stage {
            Stage::Any => "",
            Stage::Written => ", not committed",
            Stage::Committed => ", committed and not told",
        };
        f.pad(&format!("{work}{stage}"))
    }
}
