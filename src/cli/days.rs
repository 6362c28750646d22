//! `--since` and `--until`: the UTC days that verify and repair keep to.
use crate::rollup::verify::DayRange;
use anyhow::bail;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::civil::Date;

/// The days to keep to.
#[derive(Debug, clap::Args)]
pub(super) struct Days {
    /// First UTC day to look at [default: the beginning of time].
    #[arg(long, value_name = "DAY", value_parser = day)]
    since: Option<Date>,
    /// Last UTC day to look at [default: the end of time].
    #[arg(long, value_name = "DAY", value_parser = day)]
    until: Option<Date>,
}

impl Days {
    /// The range; refused when it ends before it begins.
    pub(super) fn range(&self) -> anyhow::Result<DayRange> {
        match (self.since, self.until) {
            (Some(since), Some(until)) if until < since => bail!("--until {until} lies before --since {since}"),
            (since, until) => Ok(DayRange::between(since, until)),
        }
    }

    /// The range in words that follow others; none when it is all of time.
    pub(super) fn in_words(&self) -> String {
        let since = self.since.map(|day| format!(" from {day}"));
        let until = self.until.map(|day| format!(" to {day}"));
        since.into_iter().chain(until).collect()
    }
}

/// Reads a UTC day.
pub(super) fn day(text: &str) -> Result<Date, &'static str> {
    Date::strptime("%Y-%m-%d", text).map_err(|_| "a UTC day, such as 2026-01-31")
}

/// A bar on the terminal, if there is one, that shows how many of `total` steps are done.
pub(super) fn bar(total: usize, steps: &'static str) -> anyhow::Result<ProgressBar> {
    let style = ProgressStyle::with_template("{bar:30} {percent:>3} % of {human_len} {msg}, {eta} left")?;
    Ok(ProgressBar::new(u64::try_from(total)?).with_style(style).with_message(steps))
}
