//! What may happen next, and how often.
use rand::Rng;
use rand::seq::SliceRandom;

/// A kind of thing that the fleet does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A new task, with its first report.
    Begin,
    /// A task's running total grows.
    Progress,
    /// Single events, each with a key of its own.
    Events,
    /// Events that happened days ago.
    Late,
    /// An event is reported again with other figures, and at times another day.
    Correct,
    /// An event is reported again, just as it was.
    Repeat,
    /// An older running total arrives after a newer one.
    Stale,
    /// A task goes on with another agent on another runtime.
    MoveTask,
    /// A runtime goes away; all its tasks go to another one.
    Reassign,
    /// An issue goes to another project.
    MoveIssue,
    /// A task is done.
    Complete,
    /// A task is archived; its usage stays.
    Archive,
    /// A task is removed with its usage.
    PurgeTask,
    /// An agent is removed with all its tasks and usage, and comes back empty.
    PurgeAgent,
}

impl Kind {
    /// Every one.
    pub const ALL: [Self; 14] = [
        Self::Begin,
        Self::Progress,
        Self::Events,
        Self::Late,
        Self::Correct,
        Self::Repeat,
        Self::Stale,
        Self::MoveTask,
        Self::Reassign,
        Self::MoveIssue,
        Self::Complete,
        Self::Archive,
        Self::PurgeTask,
        Self::PurgeAgent,
    ];

    /// How many of its cards are in a [`Deck`]. Tasks end about as often as they begin.
    fn cards(self) -> usize {
        match self {
            Self::Progress => 28,
            Self::Events => 22,
            Self::Begin => 12,
            Self::Correct => 8,
            Self::Late | Self::Complete => 6,
            Self::Repeat | Self::Stale => 4,
            Self::MoveTask => 3,
            Self::Archive => 2,
            Self::Reassign | Self::MoveIssue | Self::PurgeTask | Self::PurgeAgent => 1,
        }
    }
}

/// A shuffled deck of things to do. Each kind comes in every deck, so even a short run has seen them all.
#[derive(Clone, Debug, Default)]
pub(super) struct Deck(Vec<Kind>);

impl Deck {
    /// Draws the next card that can be played; the others wait, in their order, for a time when they can.
    /// [`Kind::MoveIssue`] must always be playable, so that a fresh deck holds a card that is.
    pub(super) fn draw(&mut self, rng: &mut impl Rng, playable: impl Fn(Kind) -> bool) -> Kind {
        loop {
            if let Some(place) = self.0.iter().rposition(|kind| playable(*kind)) {
                return self.0.remove(place);
            }
            // One of each kind that could not be played is the first to be tried from now on.
            let mut waiting = std::mem::take(&mut self.0);
            waiting.sort_unstable();
            waiting.dedup();
            self.0 = Kind::ALL.into_iter().flat_map(|kind| std::iter::repeat_n(kind, kind.cards())).collect();
            self.0.shuffle(rng);
            self.0.append(&mut waiting);
        }
    }
}
