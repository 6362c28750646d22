//! Reading usage back: one file per question, each with its SQL beside it.
//!
//! Every answer is of one snapshot of the database, says when that was and where it was read, and its items add up
//! to its total. `viewer` is the only workspace whose usage may be shown; `None` shows all. Questions about things
//! outside it are answered `None`, like those about things that do not exist.
//!
//! [`Reading`] is the operator's choice between rollups and raw rows; answers differ in what they name as their source only.
//!
//! Nothing here knows of HTTP: the command line asks the same questions.
mod answer;
mod by_agent;
mod by_hour;
mod measures;
mod of_issue;
mod of_runtime;
mod of_task;
mod of_workspace;
mod reading;
pub mod summary;

pub use answer::{Answer, Source, Subject};
pub use by_agent::{AgentUsage, runtime_by_agent};
pub use by_hour::{HourUsage, runtime_by_hour};
pub use measures::{Measures, Tokens, Uncosted, Usd};
pub use of_issue::issue_usage;
pub use of_runtime::{DayUsage, runtime_usage};
pub use of_task::{ModelUsage, task_usage};
pub use of_workspace::{RuntimeDayUsage, workspace_usage};
pub use reading::Reading;

/// Why a question could not be answered.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The range of days leaves the calendar.
    #[error(transparent)]
    Range(#[from] crate::model::range::OutOfCalendar),
    /// The database refused or went away.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}
