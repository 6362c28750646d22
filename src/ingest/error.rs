//! Why reports were not stored.
use crate::db::error::{Cause, cause};
use serde::Serialize;
use std::fmt;
use std::sync::Arc;

/// Faults that one answer lists.
pub const FAULTS_MAX: usize = 20;

/// Why a request was not stored. Whatever it is, nothing of the request was, unless the variant says otherwise.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// There was nothing to store.
    #[error("there is no report in the request")]
    Empty,
    /// More reports than one request may have.
    #[error("{given} reports are too many for one request: send at most {max}")]
    TooMany {
        /// How many there were.
        given: usize,
        /// How many there may be.
        max: usize,
    },
    /// Some reports cannot be stored as they are.
    #[error("{}", Refused(.0))]
    Invalid(Vec<Fault>),
    /// Too many reports are waiting already.
    #[error("too many reports are waiting to be stored: send it again in a moment")]
    Busy,
    /// It took too long. It may be stored all the same: send it again, which is harmless.
    #[error("storing took too long; it may or may not be stored: send it again, nothing is counted twice")]
    TimedOut,
    /// It was given up half-way. It may be stored all the same: send it again, which is harmless.
    #[error("storing was interrupted; it may or may not be stored: send it again, nothing is counted twice")]
    Interrupted,
    /// Ingest has ended.
    #[error("the service is shutting down: send it again in a moment")]
    Closed,
    /// A constraint, a type or a trigger of the source's owner does not allow it.
    #[error("the database does not allow it: {0}")]
    Refused(String),
    /// The database refused or went away. If it went away during the commit the request may be stored.
    #[error("the database did not store it: {0}")]
    Database(Arc<sqlx::Error>),
}

impl Error {
    /// Whether the request is to blame, not the service or its database.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Empty | Self::TooMany { .. } | Self::Invalid(_) | Self::Refused(_))
    }

    /// Whether the very same request may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Busy | Self::TimedOut | Self::Interrupted | Self::Closed => true,
            Self::Database(error) => cause(error) != Cause::Other,
            Self::Empty | Self::TooMany { .. } | Self::Invalid(_) | Self::Refused(_) => false,
        }
    }
}

/// What is wrong with one report of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The report's place in the request, from 0.
    pub index: usize,
    /// The field, with the objects around it: `task.agent.name`. Empty when it is the whole report.
    pub field: String,
    /// A stable word for what is wrong.
    pub code: FaultCode,
    /// What is wrong, to be read after the field's name.
    pub reason: String,
}

impl Fault {
    /// Where in the request it is: `reports[3].input_tokens`.
    pub fn path(&self) -> String {
        let dot = if self.field.is_empty() { "" } else { "." };
        format!("reports[{}]{dot}{}", self.index, self.field)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path(), self.reason)
    }
}

/// Stable words for what can be wrong with a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultCode {
    /// A field is missing, unknown, of the wrong type or out of its range.
    InvalidField,
    /// An earlier report of the request has the same task, provider, model and event key.
    DuplicateIdentity,
    /// No such task, or it is another workspace's.
    UnknownTask,
    /// No such workspace, or it is not the caller's.
    UnknownWorkspace,
    /// The runtime is another workspace's.
    UnknownRuntime,
    /// The agent is another workspace's.
    UnknownAgent,
    /// The issue is another workspace's.
    UnknownIssue,
    /// Something has to be made, and nothing says in which workspace.
    WorkspaceRequired,
    /// The task has to be made, and nothing says for which agent.
    AgentRequired,
    /// A table that somebody else has made has no column for it.
    ColumnMissing,
    /// Such a table cannot take it.
    NotWritable,
}

impl Serialize for FaultCode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl FaultCode {
    /// The word.
    pub fn name(self) -> &'static str {
        match self {
            Self::InvalidField => "invalid_field",
            Self::DuplicateIdentity => "duplicate_identity",
            Self::UnknownTask => "unknown_task",
            Self::UnknownWorkspace => "unknown_workspace",
            Self::UnknownRuntime => "unknown_runtime",
            Self::UnknownAgent => "unknown_agent",
            Self::UnknownIssue => "unknown_issue",
            Self::WorkspaceRequired => "workspace_required",
            Self::AgentRequired => "agent_required",
            Self::ColumnMissing => "column_missing",
            Self::NotWritable => "not_writable",
        }
    }

    /// Whether it is about what the source tables can hold.
    pub fn is_of_source(self) -> bool {
        matches!(self, Self::ColumnMissing | Self::NotWritable)
    }

    /// Whether it is about something that is not there, or not for the caller to see.
    pub fn is_not_found(self) -> bool {
        matches!(
            self,
            Self::UnknownTask | Self::UnknownWorkspace | Self::UnknownRuntime | Self::UnknownAgent | Self::UnknownIssue
        )
    }
}

/// The first of some faults, and how many more there are.
struct Refused<'a>(&'a [Fault]);

impl fmt::Display for Refused<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => f.write_str("refused"),
            [only] => only.fmt(f),
            [first, rest @ ..] => write!(f, "{first} (and {} more)", rest.len()),
        }
    }
}
