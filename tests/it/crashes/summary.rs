//! What a run of kills came to, as a table.
use super::choices;
use super::ledger::Differences;
use super::plan::{Kill, POINTS, Point, SEALING, VICTIMS, Victim};
use super::reporter::Answers;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use tallybook::rollup::verify::Report;

/// Figures of one or several instances.
#[derive(Debug, Default)]
pub(super) struct Summary {
    kills: HashMap<(Point, Victim), u64>,
    pub(super) acknowledged: u64,
    pub(super) imported: i64,
    checks: u64,
    lost: u64,
    doubled: u64,
    drifted: u64,
    failures: BTreeMap<String, u64>,
    odd: u64,
    examples: Vec<String>,
}

impl Summary {
    pub(super) fn killed(&mut self, kill: Kill) {
        *self.kills.entry((kill.point, kill.victim)).or_default() += 1;
    }

    pub(super) fn compared(&mut self, differences: &Differences) {
        self.lost += differences.lost;
        self.doubled += differences.doubled;
        self.examples.extend(differences.examples.iter().cloned());
    }

    pub(super) fn verified(&mut self, report: &Report) {
        self.checks += 1;
        self.drifted += report.rollups.iter().map(|rollup| u64::try_from(rollup.drifted_keys).unwrap()).sum::<u64>();
        if !report.exact() {
            self.examples.push(format!("{report:?}"));
        }
    }

    /// Compares totals: number of reports, input, output.
    pub(super) fn totalled(&mut self, name: &str, sent: (i64, i64, i64), stored: (i64, i64, i64)) {
        if sent != stored {
            self.lost += u64::try_from(sent.0 - stored.0).unwrap_or_default();
            self.doubled += u64::try_from(stored.0 - sent.0).unwrap_or_default();
            self.examples.push(format!("{name}: sent {sent:?}, stored {stored:?}"));
        }
    }

    pub(super) fn answered(&mut self, answers: &Answers) {
        for (failure, count) in &answers.failures {
            *self.failures.entry(failure.clone()).or_default() += count;
        }
        self.odd += u64::try_from(answers.odd.len()).unwrap();
        self.examples.extend(answers.odd.iter().take(5).cloned());
    }

    pub(super) fn add(&mut self, other: Self) {
        for (key, count) in other.kills {
            *self.kills.entry(key).or_default() += count;
        }
        for (failure, count) in other.failures {
            *self.failures.entry(failure).or_default() += count;
        }
        self.acknowledged += other.acknowledged;
        self.imported += other.imported;
        self.checks += other.checks;
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.drifted += other.drifted;
        self.odd += other.odd;
        self.examples.extend(other.examples);
    }

    /// Panics unless all is well.
    pub(super) fn assert_clean(&self) {
        let faults = (self.lost, self.doubled, self.drifted, self.odd, self.examples.len());
        assert_eq!(faults, (0, 0, 0, 0, 0), "seed {}: {:#?}", choices::seed(), self.examples);
    }

    /// The faults as they are recorded.
    pub(super) fn faults(&self) -> [(&'static str, u64); 4] {
        [("reports lost", self.lost), ("counted twice", self.doubled), ("differences", self.drifted), ("odd answers", self.odd)]
    }

    /// The figures of a run of kills, as they are recorded.
    pub(super) fn kills(&self) -> Vec<(&'static str, u64)> {
        let of = |victim| self.count(|_, v| v == victim);
        let kills = [
            ("kills", self.count(|_, _| true)),
            ("of the service", of(Victim::Service)),
            ("of PostgreSQL", of(Victim::Postmaster)),
            ("of one of its processes", of(Victim::Backend)),
            ("of everything", of(Victim::Everything)),
            ("of a command", of(Victim::Command)),
            ("reports acknowledged", self.acknowledged),
            ("records imported", u64::try_from(self.imported).unwrap()),
            ("comparisons", self.checks),
        ];
        [&kills[..], &self.faults()].concat()
    }

    fn count(&self, of: impl Fn(Point, Victim) -> bool) -> u64 {
        self.kills.iter().filter(|((point, victim), _)| of(*point, *victim)).map(|(_, count)| count).sum()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.kills.is_empty() {
            write!(f, "{:40}", "killed with -9 during")?;
            VICTIMS.iter().try_for_each(|victim| write!(f, "{victim:>12}"))?;
            writeln!(f, "{:>12}", "all")?;
            for point in POINTS.into_iter().chain(SEALING) {
                write!(f, "{point:40}")?;
                VICTIMS.iter().try_for_each(|victim| write!(f, "{:12}", self.count(|p, v| p == point && v == *victim)))?;
                writeln!(f, "{:12}", self.count(|p, _| p == point))?;
            }
            write!(f, "{:40}", "all")?;
            VICTIMS.iter().try_for_each(|victim| write!(f, "{:12}", self.count(|_, v| v == *victim)))?;
            writeln!(f, "{:12}", self.count(|_, _| true))?;
        }
        let failures: Vec<String> = self.failures.iter().map(|(failure, count)| format!("{failure} {count}")).collect();
        writeln!(f, "requests sent again: {}", failures.join(", "))?;
        writeln!(f, "reports acknowledged {}, records imported {}, checks {}", self.acknowledged, self.imported, self.checks)?;
        write!(
            f,
            "lost {}, doubled {}, drift {}, odd answers {}, seed {}",
            self.lost,
            self.doubled,
            self.drifted,
            self.odd,
            choices::seed()
        )
    }
}
