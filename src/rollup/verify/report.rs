//! What a comparison found: everything counted, some of it kept.
use super::EXAMPLES_MAX;
use super::sample::Sampled;
use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::Value;
use std::collections::BTreeSet;

/// What was compared and what differs.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Report {
    /// No snapshot that was compared is older, by the database's clock.
    pub as_of: Timestamp,
    /// What was drawn, where only a sample was compared.
    pub sample: Option<Sampled>,
    /// Slices compared, each in a snapshot of its own.
    pub slices: usize,
    /// One for each rollup, by name.
    pub rollups: Vec<RollupReport>,
}

/// The comparison of one rollup.
#[derive(Clone, Debug, serde::Serialize)]
pub struct RollupReport {
    /// Its name.
    pub name: String,
    /// Keys compared.
    pub keys: i64,
    /// Keys whose sums differ from raw.
    pub drifted_keys: i64,
    /// The UTC days on which they lie, in order.
    pub drifted_days: Vec<DriftedDay>,
    /// Some of them, [`EXAMPLES_MAX`] at most.
    pub drift: Vec<Drift>,
}

/// A UTC day on which a rollup differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct DriftedDay {
    /// The day.
    pub day: Date,
    /// How many of its keys differ.
    pub keys: i64,
}

/// A key whose sums in the now-view are not those of the raw rows.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Drift {
    /// The bucket and the dimensions.
    pub key: Value,
    /// The measures that the now-view shows.
    pub shown: Value,
    /// The sums of the raw rows.
    pub raw: Value,
}

impl Report {
    /// A report of nothing yet.
    pub(super) fn new(as_of: Timestamp, sample: Option<Sampled>) -> Self {
        Self { as_of, sample, slices: 0, rollups: Vec::new() }
    }

    /// Adds what one slice came to.
    pub(super) fn add(&mut self, slice: Vec<RollupReport>) {
        self.slices += 1;
        for found in slice {
            match self.rollups.binary_search_by(|known| known.name.cmp(&found.name)) {
                Ok(index) => self.rollups[index].merge(found),
                Err(index) => self.rollups.insert(index, found),
            }
        }
    }

    /// Whether every key of every rollup equals raw.
    pub fn exact(&self) -> bool {
        self.rollups.iter().all(|rollup| rollup.drifted_keys == 0)
    }

    /// The UTC days on which any rollup differs, in order.
    pub fn drifted_days(&self) -> Vec<Date> {
        let days: BTreeSet<Date> = self.rollups.iter().flat_map(|r| r.drifted_days.iter().map(|d| d.day)).collect();
        days.into_iter().collect()
    }
}

impl RollupReport {
    /// A report of nothing yet.
    pub(super) fn new(name: String) -> Self {
        Self { name, keys: 0, drifted_keys: 0, drifted_days: Vec::new(), drift: Vec::new() }
    }

    /// Adds a day's figures; days come in order.
    pub(super) fn add_day(&mut self, day: Date, keys: i64, drifted_keys: i64, examples: Vec<Drift>) {
        self.keys += keys;
        self.drifted_keys += drifted_keys;
        if drifted_keys > 0 {
            self.drifted_days.push(DriftedDay { day, keys: drifted_keys });
        }
        self.keep(examples);
    }

    /// Adds another slice of the same rollup.
    fn merge(&mut self, other: Self) {
        self.keys += other.keys;
        self.drifted_keys += other.drifted_keys;
        self.drifted_days.extend(other.drifted_days);
        self.drifted_days.sort_unstable();
        self.keep(other.drift);
    }

    fn keep(&mut self, drift: Vec<Drift>) {
        let room = EXAMPLES_MAX.saturating_sub(self.drift.len());
        self.drift.extend(drift.into_iter().take(room));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;
    use serde_json::json;

    fn drift(number: usize) -> Vec<Drift> {
        vec![Drift { key: json!(number), shown: json!({}), raw: json!({}) }; number]
    }

    /// What a slice of these days came to: day of February, keys, those that differ.
    fn slice(name: &str, days: &[(i8, i64, i64)]) -> RollupReport {
        let mut found = RollupReport::new(name.to_owned());
        for (day, keys, drifted) in days {
            found.add_day(date(2026, 2, *day), *keys, *drifted, drift(usize::try_from(*drifted).unwrap()));
        }
        found
    }

    #[test]
    fn slices_add_up_whatever_their_order() {
        let mut report = Report::new(Timestamp::UNIX_EPOCH, None);
        assert!(report.exact() && report.drifted_days().is_empty());
        report.add(vec![slice("hourly", &[(5, 10, 0)]), slice("daily", &[(5, 4, 0)])]);
        assert!(report.exact() && report.drifted_days().is_empty());
        report.add(vec![slice("daily", &[(3, 2, 1), (4, 3, 2)]), slice("hourly", &[(4, 20, 0)])]);
        report.add(vec![slice("daily", &[(1, 7, 3), (2, 1, 0)]), slice("hourly", &[(1, 5, 4)])]);
        assert!(!report.exact());
        assert_eq!(report.slices, 3);
        assert_eq!(report.drifted_days(), [date(2026, 2, 1), date(2026, 2, 3), date(2026, 2, 4)]);
        let [daily, hourly] = &report.rollups[..] else { panic!("{report:?}") };
        assert_eq!((daily.name.as_str(), daily.keys, daily.drifted_keys, daily.drift.len()), ("daily", 17, 6, 6));
        assert_eq!((hourly.name.as_str(), hourly.keys, hourly.drifted_keys, hourly.drift.len()), ("hourly", 35, 4, 4));
        let days = [(1, 3), (3, 1), (4, 2)].map(|(day, keys)| DriftedDay { day: date(2026, 2, day), keys });
        assert_eq!(daily.drifted_days, days);
    }

    #[test]
    fn no_more_examples_are_kept_than_the_bound_says() {
        let mut report = Report::new(Timestamp::UNIX_EPOCH, None);
        for _ in 0..2 {
            let mut found = RollupReport::new("daily".to_owned());
            found.add_day(date(2026, 2, 1), 1_000, 700, drift(700));
            report.add(vec![found]);
        }
        assert_eq!((report.rollups[0].drifted_keys, report.rollups[0].drift.len()), (1_400, EXAMPLES_MAX));
    }
}
