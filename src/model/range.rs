//! Ranges of calendar days: `days=N` is exactly N of them, today included, in a time zone.
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde::{Serialize, Serializer};
use std::fmt;
use std::str::FromStr;
use utoipa::ToSchema;

/// Length of the longest range: ten years.
pub const DAYS_MAX: u16 = 3_660;
/// Length of a range that nobody asked for otherwise.
pub const DAYS_DEFAULT: u16 = 90;

/// How many calendar days: 1 to [`DAYS_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Days(u16);

/// Not a number of days.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a whole number from 1 to {DAYS_MAX}")]
pub struct NotDays;

impl Days {
    /// So many days.
    pub fn new(days: u16) -> Result<Self, NotDays> {
        if (1..=DAYS_MAX).contains(&days) { Ok(Self(days)) } else { Err(NotDays) }
    }

    /// How many.
    pub fn get(self) -> u16 {
        self.0
    }
}

impl Default for Days {
    fn default() -> Self {
        Self(DAYS_DEFAULT)
    }
}

impl FromStr for Days {
    type Err = NotDays;

    fn from_str(text: &str) -> Result<Self, NotDays> {
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            text.parse().map_err(|_| NotDays).and_then(Self::new)
        } else {
            Err(NotDays)
        }
    }
}

/// A zone of the IANA time zone database, such as `Asia/Kolkata`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone(TimeZone);

/// Not the name of a zone.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the name of an IANA time zone, such as Europe/Berlin or UTC")]
pub struct NotAZone;

impl Zone {
    /// The zone that all stored days are in.
    pub fn utc() -> Self {
        Self(TimeZone::UTC)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }
}

impl Default for Zone {
    fn default() -> Self {
        Self::utc()
    }
}

impl FromStr for Zone {
    type Err = NotAZone;

    fn from_str(name: &str) -> Result<Self, NotAZone> {
        TimeZone::get(name).map(Self).map_err(|_| NotAZone)
    }
}

impl Serialize for Zone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whole calendar days of a zone, the first and the last one included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Range {
    /// The first day.
    #[schema(value_type = String, format = Date, example = "2026-01-01")]
    pub from: Date,
    /// The last day.
    #[schema(value_type = String, format = Date, example = "2026-03-31")]
    pub to: Date,
    /// How many days that is.
    #[schema(example = 90)]
    pub days: u16,
    /// The zone whose days they are.
    #[schema(value_type = String, example = "UTC")]
    pub tz: Zone,
}

/// A time during which a zone's clocks show the same offset from UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Its first instant, in seconds since 1970.
    pub from_epoch: i64,
    /// The first instant after it.
    pub until_epoch: i64,
    /// What local clocks are ahead of UTC.
    pub offset_seconds: i32,
}

/// The range leaves the calendar.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the range of days leaves the calendar")]
pub struct OutOfCalendar;

impl Range {
    /// The last `days` calendar days of `zone` at `now`, today included.
    pub fn last(days: Days, zone: &Zone, now: Timestamp) -> Result<Self, OutOfCalendar> {
        let to = now.to_zoned(zone.0.clone()).date();
        let before = i64::from(days.get()) - 1;
        let from = to.checked_sub(before.days()).map_err(|_| OutOfCalendar)?;
        Ok(Self { from, to, days: days.get(), tz: zone.clone() })
    }

    /// The first instant of the first day, and the first one after the last day.
    pub fn instants(&self) -> Result<(Timestamp, Timestamp), OutOfCalendar> {
        let begin = |date: Date| date.to_zoned(self.tz.0.clone()).map(|midnight| midnight.timestamp());
        let after = self.to.tomorrow().map_err(|_| OutOfCalendar)?;
        Ok((begin(self.from).map_err(|_| OutOfCalendar)?, begin(after).map_err(|_| OutOfCalendar)?))
    }

    /// The range, cut where the zone's clocks change.
    pub fn stretches(&self) -> Result<Vec<Stretch>, OutOfCalendar> {
        let (from, until) = self.instants()?;
        let changes = self.tz.0.following(from).map(|change| change.timestamp()).take_while(|at| *at < until);
        let mut cuts = vec![from];
        cuts.extend(changes);
        cuts.push(until);
        let stretch = |cut: &[Timestamp]| Stretch {
            from_epoch: cut[0].as_second(),
            until_epoch: cut[1].as_second(),
            offset_seconds: self.tz.0.to_offset(cut[0]).seconds(),
        };
        Ok(cuts.windows(2).map(stretch).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last(days: u16, zone: &str, now: &str) -> Range {
        Range::last(Days::new(days).unwrap(), &zone.parse().unwrap(), now.parse().unwrap()).unwrap()
    }

    fn shown(range: &Range) -> String {
        let (from, until) = range.instants().unwrap();
        format!("{}..={} {from}..{until}", range.from, range.to)
    }

    #[test]
    fn r19_n_days_are_n_calendar_days_at_any_time_of_day() {
        for now in ["2026-03-10T00:05:00Z", "2026-03-10T23:59:59.9Z"] {
            assert_eq!(shown(&last(1, "UTC", now)), "2026-03-10..=2026-03-10 2026-03-10T00:00:00Z..2026-03-11T00:00:00Z");
            assert_eq!(shown(&last(30, "UTC", now)), "2026-02-09..=2026-03-10 2026-02-09T00:00:00Z..2026-03-11T00:00:00Z");
        }
    }

    #[test]
    fn today_is_the_zone_s_today() {
        assert_eq!(
            shown(&last(1, "Asia/Kolkata", "2026-03-10T18:40:00Z")),
            "2026-03-11..=2026-03-11 2026-03-10T18:30:00Z..2026-03-11T18:30:00Z"
        );
    }

    #[test]
    fn a_day_without_midnight_begins_when_its_clocks_do() {
        let range = last(1, "America/Sao_Paulo", "2018-11-04T12:00:00Z");
        assert_eq!(shown(&range), "2018-11-04..=2018-11-04 2018-11-04T03:00:00Z..2018-11-05T02:00:00Z");
    }

    #[test]
    fn stretches_cover_the_range_and_change_with_the_clocks() {
        let stretches = last(2, "Europe/Berlin", "2026-03-29T12:00:00Z").stretches().unwrap();
        assert_eq!(stretches.iter().map(|s| s.offset_seconds).collect::<Vec<_>>(), [3_600, 7_200]);
        assert_eq!(stretches[0].until_epoch, stretches[1].from_epoch);
        assert_eq!(stretches[1].until_epoch - stretches[0].from_epoch, 47 * 3_600);
    }

    #[test]
    fn only_whole_numbers_of_days_and_known_zones_are_read() {
        assert!(["0", "3661", "-1", "+7", "1.5", "", "x", "99999999999"].iter().all(|text| text.parse::<Days>().is_err()));
        assert_eq!("3660".parse::<Days>().unwrap().get(), DAYS_MAX);
        assert!(["", "Mars/Olympus", "UTC+1", "../etc/passwd"].iter().all(|text| text.parse::<Zone>().is_err()));
        assert_eq!("asia/kolkata".parse::<Zone>().unwrap().name(), "Asia/Kolkata");
    }
}
