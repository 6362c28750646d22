//! How an error is told: one line on standard error, what was wrong, where, and what to do.
use crate::config::Place;
use crate::db::error::{Cause, cause, sqlstate};
use std::io::Write;

/// Says of a database error where it happened and what can be done; other errors say so themselves.
pub(super) fn locate(error: anyhow::Error, place: &Place) -> anyhow::Error {
    let Some(database) = error.chain().find_map(|e| e.downcast_ref::<sqlx::Error>()) else { return error };
    let advice = match cause(database) {
        Cause::Unavailable => "check that PostgreSQL runs there, then try again",
        Cause::Conflict => "another transaction was in the way; try again",
        Cause::Timeout => {
            "it took longer than the server allows; try again when it has less to do, or raise its statement_timeout"
        }
        Cause::Other => match sqlstate(database).as_deref() {
            Some("42501") => {
                "the database's role lacks a right; connect as the role that ran `tallybook migrate up`, or grant this one what `tallybook rights` prints"
            }
            _ => "`tallybook status` tells what state the database is in",
        },
    };
    anyhow::anyhow!("{place} failed: {}; {advice}", one_line(&error))
}

/// What came of the work, and of what had to be done after it. Where both failed the work's error is the answer, and the other one is logged.
pub(super) fn both<T>(work: anyhow::Result<T>, after: Result<(), impl Into<anyhow::Error>>) -> anyhow::Result<T> {
    match (work, after.map_err(Into::into)) {
        (Err(error), Err(also)) => {
            tracing::warn!(error = one_line(&also), "after a failure that is told below, something else failed");
            Err(error)
        }
        (work, after) => work.and_then(|value| after.map(|()| value)),
    }
}

/// Somebody did not wait for the service to stop in order.
pub(super) fn cut_off() -> anyhow::Error {
    anyhow::anyhow!("cut off while stopping; what was acknowledged is committed")
}

/// Writes the error where the user sees it.
pub(super) fn print(error: &anyhow::Error) {
    let line = format!("tallybook: {}\n", one_line(error));
    // Nobody is left to be told when even this fails.
    drop(std::io::stderr().write_all(line.as_bytes()));
}

/// The error and its causes in one line; a cause whose words the error has already is not repeated.
fn one_line(error: &anyhow::Error) -> String {
    let mut told = String::new();
    for message in error.chain().map(|e| e.to_string().split_whitespace().collect::<Vec<_>>().join(" ")) {
        if told.is_empty() {
            told = message;
        } else if !told.contains(&message) {
            told = format!("{told}: {message}");
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;

    #[test]
    fn causes_are_told_once_and_on_one_line() {
        let error = anyhow!("disk\n  is full").context("cannot write the file");
        assert_eq!(one_line(&error), "cannot write the file: disk is full");
        let error = anyhow!("disk is full").context("cannot write: disk is full");
        assert_eq!(one_line(&error), "cannot write: disk is full");
    }

    #[test]
    fn an_error_of_the_work_is_never_replaced_by_one_of_what_came_after() {
        let (failed, also) = (|| Err(anyhow!("no such runtime")), || Err(anyhow!("the disk is full")));
        assert_eq!(both::<()>(failed(), also()).unwrap_err().to_string(), "no such runtime");
        assert_eq!(both::<()>(failed(), Ok::<_, anyhow::Error>(())).unwrap_err().to_string(), "no such runtime");
        assert_eq!(both(Ok(1), also()).unwrap_err().to_string(), "the disk is full");
        assert_eq!(both(Ok(1), Ok::<_, anyhow::Error>(())).unwrap(), 1);
    }

    #[test]
    fn a_database_error_says_where_and_what_to_do() {
        let error = anyhow::Error::from(sqlx::Error::PoolTimedOut).context("cannot fold");
        let told = locate(error, &Place::Private("/data".into())).to_string();
        assert!(told.starts_with("the private PostgreSQL in /data failed: "), "{told}");
        assert!(told.ends_with("then try again"), "{told}");
        let other = locate(anyhow!("no such runtime"), &Place::Private("/data".into()));
        assert_eq!(other.to_string(), "no such runtime");
    }
}
