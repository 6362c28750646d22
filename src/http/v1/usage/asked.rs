//! Which days of usage a request asks for.
use crate::http::error::Problem;
use crate::http::parameters::{FromParameters, Parameters};
use crate::model::range::{Days, NotAZone, NotDays, Range, Zone};
use jiff::Timestamp;

/// `days`: so many UTC days, today included.
pub(super) struct InDays(Days);

/// `days` and `tz`: so many days of a zone, today included.
pub(super) struct InDaysOfZone(Days, Zone);

fn days(parameters: &mut Parameters) -> Result<Days, Problem> {
    Ok(parameters.parsed("days", NotDays)?.unwrap_or_default())
}

impl FromParameters for InDays {
    fn take(parameters: &mut Parameters) -> Result<Self, Problem> {
        days(parameters).map(Self)
    }
}

impl FromParameters for InDaysOfZone {
    fn take(parameters: &mut Parameters) -> Result<Self, Problem> {
        Ok(Self(days(parameters)?, parameters.parsed("tz", NotAZone)?.unwrap_or_default()))
    }
}

impl InDays {
    pub(super) fn range(&self, now: Timestamp) -> Result<Range, Problem> {
        range(self.0, &Zone::utc(), now)
    }
}

impl InDaysOfZone {
    pub(super) fn range(&self, now: Timestamp) -> Result<Range, Problem> {
        range(self.0, &self.1, now)
    }
}

fn range(days: Days, zone: &Zone, now: Timestamp) -> Result<Range, Problem> {
    Range::last(days, zone, now).map_err(|error| Problem::field("days", error))
}
