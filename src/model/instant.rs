//! A point in time as the database keeps it and as JSON shows it.
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use utoipa::ToSchema;

/// An instant that PostgreSQL can store: from 1970 to 9999, in microseconds; RFC 3339 in UTC in JSON.
#[derive(Clone, Copy, Debug, sqlx::Type, ToSchema)]
#[sqlx(transparent)]
#[schema(value_type = String, format = DateTime, example = "2026-03-01T09:30:00Z")]
pub struct Instant(jiff_sqlx::Timestamp);

impl Instant {
    /// The same instant, to calculate with.
    pub fn timestamp(self) -> Timestamp {
        self.0.to_jiff()
    }
}

impl From<Timestamp> for Instant {
    fn from(timestamp: Timestamp) -> Self {
        Self(timestamp.into())
    }
}

impl PartialEq for Instant {
    fn eq(&self, other: &Self) -> bool {
        self.timestamp() == other.timestamp()
    }
}

impl Eq for Instant {}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.timestamp().fmt(f)
    }
}

impl Serialize for Instant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Instant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let timestamp = Timestamp::deserialize(deserializer)?;
        // The year 9999 ends where both jiff and RFC 3339 end.
        if timestamp < Timestamp::UNIX_EPOCH {
            return Err(de::Error::custom(format_args!("{timestamp} is before 1970")));
        }
        Ok(timestamp.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_offset_is_read_and_utc_is_shown() {
        let instant: Instant = serde_json::from_str(r#""2026-03-01T15:00:00.25+05:30""#).unwrap();
        assert_eq!(serde_json::to_string(&instant).unwrap(), r#""2026-03-01T09:30:00.25Z""#);
    }

    #[test]
    fn what_the_database_could_not_store_is_refused() {
        for text in [r#""-004800-01-01T00:00:00Z""#, r#""1969-12-31T23:59:59Z""#, r#""yesterday""#, "1700000000", "null"] {
            assert!(serde_json::from_str::<Instant>(text).is_err(), "{text}");
        }
    }
}
