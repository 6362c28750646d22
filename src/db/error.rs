//! What a database error means for whoever gets it.
use sqlx::Error;
use sqlx::error::DatabaseError;
use std::borrow::Cow;

/// What can be done about a database error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The database cannot be reached or will not serve now; the same request may succeed later.
    Unavailable,
    /// The transaction lost against another one and may be tried again at once.
    Conflict,
    /// The statement ran longer than its limit.
    Timeout,
    /// Anything else: a defect of ours, or of what was asked.
    Other,
}

/// The SQLSTATE of what a role may not do.
pub const INSUFFICIENT_PRIVILEGE: &str = "42501";

/// The SQLSTATE of an error that the database told.
pub fn sqlstate(error: &Error) -> Option<Cow<'_, str>> {
    error.as_database_error().and_then(DatabaseError::code)
}

/// Tells what `error` means, from its kind or its SQLSTATE.
pub fn cause(error: &Error) -> Cause {
    match error {
        Error::Io(_) | Error::PoolTimedOut | Error::PoolClosed | Error::WorkerCrashed | Error::Tls(_) | Error::Protocol(_) => {
            Cause::Unavailable
        }
        error => sqlstate(error).map_or(Cause::Other, |code| cause_of_sqlstate(&code)),
    }
}

/// Classes of <https://www.postgresql.org/docs/15/errcodes-appendix.html>.
fn cause_of_sqlstate(code: &str) -> Cause {
    match code {
        // serialization_failure, deadlock_detected, lock_not_available
        "40001" | "40P01" | "55P03" => Cause::Conflict,
        "57014" => Cause::Timeout,
        // connection exceptions, insufficient resources, operator intervention, a read-only (failed-over) server, system errors
        _ if ["08", "53", "57", "58"].contains(&&code[..2]) || code == "25006" => Cause::Unavailable,
        _ => Cause::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqlstates_say_whether_to_retry() {
        assert_eq!(cause_of_sqlstate("40001"), Cause::Conflict);
        assert_eq!(cause_of_sqlstate("57P01"), Cause::Unavailable);
        assert_eq!(cause_of_sqlstate("53300"), Cause::Unavailable);
        assert_eq!(cause_of_sqlstate("57014"), Cause::Timeout);
        assert_eq!(cause_of_sqlstate("23505"), Cause::Other);
        assert_eq!(cause(&Error::PoolTimedOut), Cause::Unavailable);
    }
}
