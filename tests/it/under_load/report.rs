//! What came of it, as a table, and whether that will do.
use super::checker::Checked;
use super::measure::{Met, Phase};
use std::collections::BTreeMap;
use std::time::Duration;
use tallybook::testing::results::UNDER_LOAD;

/// No stall is too long that a writer met without us, so many times as long; nor is one up to this.
const STALL_FACTOR: u32 = 3;
const STALL_MAX: Duration = Duration::from_millis(500);

/// All that was counted.
pub(super) struct Report {
    pub(super) rows: u64,
    pub(super) seed: u64,
    pub(super) met: BTreeMap<Phase, Met>,
    pub(super) checked: Checked,
    /// Answers of the service.
    pub(super) reads: u64,
    /// Whether the host's schema is what it was.
    pub(super) is_as_before: bool,
}

impl Report {
    /// Prints and records it, and fails where anything is not as it must be; `bounds_stalls`: how long a writer stood still, too.
    pub(super) fn judge(&self, bounds_stalls: bool) {
        let without_us = self.longest(Phase::is_without_us);
        let limit = STALL_MAX.max(without_us * STALL_FACTOR);
        self.print(limit);
        for (phase, met) in &self.met {
            assert_eq!(met.errors, 0, "a writer was refused during {}: {:?}", phase.name(), met.first_error);
            assert!(met.statements > 0, "nobody wrote during {}", phase.name());
        }
        assert_eq!(self.checked.differing, 0, "the now-views differ from raw: {:?}", self.checked);
        assert!(
            self.checked.checks > 0 && self.checked.keys > 0 && self.reads > 0,
            "{:?} and {} reads",
            self.checked,
            self.reads
        );
        assert!(self.is_as_before, "`migrate down` left something, or took something along: the schema is not what it was");
        let with_us = self.longest(|phase| !phase.is_without_us());
        assert!(
            !bounds_stalls || with_us <= limit,
            "a writer stood still for {} ms; at most {} will do",
            with_us.as_millis(),
            limit.as_millis()
        );
        self.record(without_us, with_us);
    }

    fn longest(&self, which: impl Fn(Phase) -> bool) -> Duration {
        self.met.iter().filter(|(phase, _)| which(**phase)).map(|(_, met)| met.longest).max().unwrap_or_default()
    }

    fn print(&self, limit: Duration) {
        eprintln!("\n| phase | seconds | statements | a second | 99 of 100 within | longest stall | errors |");
        eprintln!("|---|---|---|---|---|---|---|");
        for (phase, met) in &self.met {
            let Met { lasted, statements, longest, longest_of, errors, .. } = met;
            eprintln!(
                "| {} | {} | {statements} | {} | {} ms | {} ms ({longest_of}) | {errors} |",
                phase.name(),
                lasted.as_secs(),
                met.rate(),
                met.nearly_all().as_micros().div_ceil(1_000),
                longest.as_millis(),
            );
        }
        let Checked { checks, keys, retries, differing } = self.checked;
        eprintln!(
            "\n{} rows of history; {checks} comparisons of {keys} keys ({retries} asked again), {differing} differ; {} HTTP reads; a stall of up to {} ms will do; \
             the host's schema is {} what it was.",
            self.rows,
            self.reads,
            limit.as_millis(),
            if self.is_as_before { "byte for byte" } else { "NOT" },
        );
    }

    fn record(&self, without_us: Duration, with_us: Duration) {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap();
        let rate = |phase| self.met[&phase].rate();
        UNDER_LOAD.record(
            Some(self.seed),
            &[
                ("rows of history", self.rows),
                ("statements", self.met.values().map(|met| met.statements).sum()),
                ("a second before", rate(Phase::Before)),
                ("while adopting", rate(Phase::Adopt)),
                ("while covering history", rate(Phase::Backfill)),
                ("while serving", rate(Phase::Serve)),
                ("while going", rate(Phase::Down)),
                ("after", rate(Phase::After)),
                ("ms the longest stall without us", millis(without_us)),
                ("ms with us", millis(with_us)),
                ("HTTP reads", self.reads),
                ("comparisons", self.checked.checks),
                ("errors of writers", self.met.values().map(|met| met.errors).sum()),
                ("differences", self.checked.differing),
            ],
        );
    }
}
