//! A usage report, and what became of it.
use crate::model::{Count, EventKey, Model, Name, OccurredAt, Provider, Ticks};
use serde::Serialize;
use std::cmp::Ordering;
use uuid::Uuid;

/// What one task used of one model: a running total, or a single event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The task that used it.
    pub task_id: Uuid,
    /// Who served the model.
    pub provider: Provider,
    /// The model.
    pub model: Model,
    /// The reporter's id of the event; empty for the task's running total.
    pub event_key: EventKey,
    /// The tokens.
    pub counts: Counts,
    /// The provider's own price; `None` when it names none, which is not a price of zero.
    pub cost: Option<Ticks>,
    /// When it happened; `None` means now, or, reported again, the time that is stored.
    pub occurred_at: Option<OccurredAt>,
    /// Orders the reports of a running total: one with a lower number than stored is stale.
    pub sequence: Option<i64>,
    /// Where the task runs; `None` leaves it where it is, and then it must exist.
    pub task: Option<TaskPlace>,
}

/// Tokens by kind. The kinds are disjoint: no token is in two of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Input that was neither read from nor written to a cache.
    pub input: Count,
    /// Output, reasoning included.
    pub output: Count,
    /// Input read from a cache.
    pub cache_read: Count,
    /// Input written to a cache of the ordinary life time.
    pub cache_write: Count,
    /// Input written to a cache of one hour's life time.
    pub cache_write_1h: Count,
}

/// Where a task runs, for whom, and on what. What is left out stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskPlace {
    /// The workspace of all that is named here. Needed only by a caller that is not bound to one,
    /// and only when nothing that exists says it.
    pub workspace_id: Option<Uuid>,
    /// Who works on it; a new task needs one.
    pub agent: Option<Reference>,
    /// Where it runs; a new task takes its agent's when none is named.
    pub runtime: Option<Reference>,
    /// What it is about.
    pub issue: Option<Reference>,
}

/// A runtime, an agent or an issue of a workspace. What does not exist is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// The oldest of that name. It goes on being found under the name it was made with when it is renamed later.
    Name(Name),
    /// The one with that id, made with that name if it is missing (the id itself serves if none is given).
    Id(Uuid, Option<Name>),
}

/// What became of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Nothing was stored under its identity before.
    Created,
    /// It took the place of what was stored.
    Replaced,
    /// Just this was stored already.
    Unchanged,
    /// What is stored has a higher sequence, and stays.
    Stale,
    /// It was stored, and retention has sealed it since: it stays as it was.
    Sealed,
}

impl Outcome {
    /// Whether the report was written; only then may it move its task.
    pub fn is_applied(self) -> bool {
        matches!(self, Self::Created | Self::Replaced)
    }
}

/// Under what a report is stored: at most once each.
pub(super) type Identity<'a> = (Uuid, &'a str, &'a str, &'a str);

impl Report {
    pub(super) fn identity(&self) -> Identity<'_> {
        (self.task_id, self.provider.as_str(), self.model.as_str(), self.event_key.as_str())
    }

    /// The order in which reports are written, everywhere.
    pub(super) fn by_identity(&self, other: &Self) -> Ordering {
        self.identity().cmp(&other.identity())
    }
}
