//! When usage happened.
use jiff::{SignedDuration, Timestamp};

/// The earliest time that is believed: 2000-01-01T00:00:00Z.
const EARLIEST: Timestamp = Timestamp::constant(946_684_800, 0);
/// How far ahead of our clock a reporter's may be.
const AHEAD_MAX: SignedDuration = SignedDuration::from_hours(24);

/// The time of a piece of usage, in whole microseconds as the database keeps them.
///
/// From 2000 on (late reports may be years old, but a clock at 1970 is a broken one), and at most a day
/// ahead of our clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OccurredAt(Timestamp);

/// Why a time is not believed. Reads on after the name of the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is no time with its offset from UTC.
    #[error("must be a time with its offset, such as \"2026-01-31T09:30:00Z\"")]
    NotATime,
    /// It lies before [`EARLIEST`].
    #[error("must not be before {EARLIEST}")]
    TooEarly,
    /// It lies more than [`AHEAD_MAX`] ahead.
    #[error("must not be more than a day in the future")]
    TooLate,
}

impl OccurredAt {
    /// Believes `time` as seen at `now`, or says why not; parts of a microsecond are cut off.
    pub fn new(time: Timestamp, now: Timestamp) -> Result<Self, Error> {
        if time < EARLIEST {
            return Err(Error::TooEarly);
        }
        if time.duration_since(now) > AHEAD_MAX {
            return Err(Error::TooLate);
        }
        Ok(Self(whole_microseconds(time)))
    }

    /// Reads an RFC 3339 time, as seen at `now`.
    pub fn parse(text: &str, now: Timestamp) -> Result<Self, Error> {
        Self::new(text.parse().map_err(|_| Error::NotATime)?, now)
    }

    /// The instant.
    pub fn get(self) -> Timestamp {
        self.0
    }
}

/// `time` without what the database would not keep of it.
pub fn whole_microseconds(time: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<String, Error> {
        let now = "2026-03-01T12:00:00Z".parse().unwrap();
        OccurredAt::parse(text, now).map(|at| at.get().to_string())
    }

    #[test]
    fn times_with_an_offset_are_believed_within_reason() {
        assert_eq!(parse("2026-03-01T13:30:00+01:30"), Ok("2026-03-01T12:00:00Z".into()));
        assert_eq!(parse("2026-03-01T12:00:00.1234567Z"), Ok("2026-03-01T12:00:00.123456Z".into()));
        assert_eq!(parse("2000-01-01T00:00:00Z"), Ok("2000-01-01T00:00:00Z".into()));
        assert_eq!(parse("2026-03-02T12:00:00Z"), Ok("2026-03-02T12:00:00Z".into()));
    }

    #[test]
    fn other_times_are_refused() {
        assert_eq!(parse("1999-12-31T23:59:59.999999Z"), Err(Error::TooEarly));
        assert_eq!(parse("2026-03-02T12:00:00.000001Z"), Err(Error::TooLate));
        for text in ["", "NaN", "infinity", "2026-03-01", "2026-03-01T12:00:00", "1772366400", "2026-02-30T00:00:00Z"] {
            assert_eq!(parse(text), Err(Error::NotATime), "{text:?}");
        }
        assert_eq!(parse("-000044-03-15T00:00:00Z"), Err(Error::TooEarly));
        assert_eq!(parse("999999-01-01T00:00:00Z"), Err(Error::NotATime));
    }
}
