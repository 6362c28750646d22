//! Moving over from the usual design: `public.task_usage_daily`, its dirty queue and triggers, its state row, its cron job.
//!
//! [`detect()`] finds its objects, in variants of it, too; [`compare()`] lists the keys in which its table differs from raw; [`switch()`] hands the
//! schedule over and [`back()`] hands it back; [`drop_old()`] drops what is left of it. Until then the old objects stay as they are: its
//! triggers go on queueing, so that its next tick, should it come back, finds all there is to do.
//!
//! Invariant: nothing of the host's is ever changed but the jobs that are disabled, and what is dropped is what was listed.
use crate::schedule::pg_cron;
use sqlx::postgres::PgDatabaseError;

mod compare;
mod detect;
mod drop_old;
mod switch;

pub use compare::{Comparison, Difference, Kind, compare};
pub use detect::{Object, OldState, UsualDesign, detect};
pub use drop_old::{Remains, drop_old, remains};
pub use switch::{Scheduler, Switched, back, switch};

/// Why a step could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is nothing to move over from.
    #[error("this database does not run the usual design: {0}")]
    NotThere(String),
    /// A scheduler was asked for that is not there.
    #[error(transparent)]
    Cron(#[from] pg_cron::Error),
    /// It was never switched over, or nothing is left to go back to.
    #[error("the schedule was not switched over, so there is nothing to go back to")]
    NotSwitched,
    /// The old design is in charge.
    #[error("the usual design is in charge; run `tallybook adopt usual-design switch` before its objects are dropped")]
    InCharge,
    /// A job that was disabled is not there any more, and no other does its work.
    #[error(
        "the old job {job_id} is gone from cron.job, so that it cannot be enabled again; schedule {command:?} anew (it ran at \
         {schedule:?}), under whatever number, then try again; or stay with Tallybook"
    )]
    JobGone {
        /// Its number.
        job_id: i64,
        /// What it ran.
        command: String,
        /// When it ran.
        schedule: String,
    },
    /// The host needs what was to be dropped.
    #[error("nothing was dropped: {message} ({detail}); drop or change those first")]
    Needed {
        /// What PostgreSQL says.
        message: String,
        /// Who needs it.
        detail: String,
    },
    /// Others hold the source tables.
    #[error("nothing was dropped: other transactions have held the tables all the time; try again")]
    Busy,
    /// The database refused or went away.
    #[error("cannot move over: {0}")]
    Database(#[from] sqlx::Error),
}

/// What PostgreSQL said, where it did.
fn said(error: &sqlx::Error) -> Option<&PgDatabaseError> {
    error.as_database_error().and_then(|error| error.try_downcast_ref())
}
