//! What long runs of the tests come to: docs/TESTING.md shows the last result of each, as the tests themselves counted it.
//!
//! A test tells what it has done with [`Run::record`], whenever it runs. Where `TALLYBOOK_RESULTS` names a file, that is a line
//! of it; `scripts/record` makes a result of such lines once all tests have passed, and `make results` shows it.
use serde_json::{Map, Value, json};
use std::env;
use std::fs::OpenOptions;
use std::io::Write;

/// Names the file to which lines are added.
pub const FILE_VARIABLE: &str = "TALLYBOOK_RESULTS";
/// The seed of all that is chosen at random.
const SEED_VARIABLE: &str = "TALLYBOOK_SEED";

/// Something that is tried at length.
#[derive(Debug)]
pub struct Run {
    /// What lines and results call it.
    pub key: &'static str,
    /// What is tried, in words.
    pub what: &'static str,
    /// The command that tries it.
    pub command: &'static str,
    /// What is counted.
    pub counts: &'static [&'static str],
    /// What is counted and must not happen.
    pub faults: &'static [&'static str],
}

/// Random histories of one session, step by step.
pub const ONE_SESSION: Run = Run {
    key: "one-session",
    what: "histories of one session",
    command: "make histories",
    counts: &["histories", "steps", "comparisons"],
    faults: &["differences"],
};
/// Random histories of several sessions, step by step.
pub const SEVERAL_SESSIONS: Run = Run {
    key: "several-sessions",
    what: "histories of several sessions",
    command: "make histories",
    counts: &[
        "histories",
        "steps",
        "transactions in READ COMMITTED",
        "in REPEATABLE READ",
        "in SERIALIZABLE",
        "folds, slices and rebuilds",
        "comparisons",
    ],
    faults: &["differences"],
};
/// Several sessions at full speed.
pub const SOAK: Run = Run {
    key: "soak",
    what: "everybody at full speed",
    command: "make soak",
    counts: &[
        "seconds",
        "kinds of host",
        "statements",
        "transactions in READ COMMITTED",
        "in REPEATABLE READ",
        "in SERIALIZABLE",
        "conflicts among them",
        "folds",
        "rebuilds and repairs",
        "slices covered",
        "comparisons",
    ],
    faults: &["differences"],
};
/// What happens at once, one step at a time.
pub const RACES: Run = Run {
    key: "races",
    what: "interleavings",
    command: "make races",
    counts: &["played", "in READ COMMITTED", "in REPEATABLE READ", "in SERIALIZABLE", "of maintenance with itself"],
    faults: &["differences"],
};
/// Defects in the SQL of the engine.
pub const MUTATIONS: Run = Run {
    key: "mutations",
    what: "defects put into the engine's SQL",
    command: "make mutations",
    counts: &["put in", "found"],
    faults: &["not found"],
};
/// Defects in the Rust that drives it; counted by `scripts/mutants`.
pub const MUTANTS: Run = Run {
    key: "mutants",
    what: "changes of the Rust of `rollup`, `ingest` and `query`",
    command: "make mutants",
    counts: &["changes", "found", "found since they never end", "that do not compile", "that nobody can see", "not tried yet"],
    faults: &["not found"],
};
/// Processes killed with -9.
pub const KILLS: Run = Run {
    key: "kills",
    what: "`kill -9`",
    command: "make crash",
    counts: &[
        "kills",
        "of the service",
        "of PostgreSQL",
        "of one of its processes",
        "of everything",
        "of a command",
        "reports acknowledged",
        "records imported",
        "comparisons",
    ],
    faults: CRASH_FAULTS,
};
/// Connections that break.
pub const CUTS: Run = Run {
    key: "cuts",
    what: "connections cut",
    command: "make crash",
    counts: &["in a request", "between it and its answer", "in an answer", "reports acknowledged"],
    faults: CRASH_FAULTS,
};
/// A disk that is full.
pub const FULL_DISK: Run = Run {
    key: "full-disk",
    what: "a full disk",
    command: "make crash",
    counts: &["disks filled", "reports acknowledged"],
    faults: CRASH_FAULTS,
};
/// Input that no well-meaning client sends.
pub const FUZZ: Run =
    Run { key: "fuzz", what: "hostile input", command: "make fuzz", counts: &["properties", "inputs"], faults: &["failures"] };
/// Requests made of the OpenAPI document; counted by `scripts/fuzz/hooks.py`.
pub const FUZZ_API: Run = Run {
    key: "fuzz-api",
    what: "requests made of the OpenAPI document",
    command: "make fuzz-api",
    counts: &["requests"],
    faults: &["findings"],
};

/// A host's writers while Tallybook is adopted, covers history, serves, and goes.
pub const UNDER_LOAD: Run = Run {
    key: "under-load",
    what: "a host's 8 writers at full speed while Tallybook comes, covers history, serves and goes",
    command: "make adopt-demo",
    counts: &[
        "rows of history",
        "statements",
        "a second before",
        "while adopting",
        "while covering history",
        "while serving",
        "while going",
        "after",
        "ms the longest stall without us",
        "ms with us",
        "HTTP reads",
        "comparisons",
    ],
    faults: &["errors of writers", "differences"],
};

const CRASH_FAULTS: &[&str] = &["reports lost", "counted twice", "differences", "odd answers"];

/// All of them, in the order in which they are shown.
pub const RUNS: [&Run; 12] = [
    &ONE_SESSION,
    &SEVERAL_SESSIONS,
    &SOAK,
    &RACES,
    &MUTATIONS,
    &MUTANTS,
    &KILLS,
    &CUTS,
    &FULL_DISK,
    &UNDER_LOAD,
    &FUZZ,
    &FUZZ_API,
];

impl Run {
    /// Everything that it counts.
    pub fn labels(&self) -> impl Iterator<Item = &'static str> {
        self.counts.iter().chain(self.faults).copied()
    }

    /// Tells what a test of this run has done; figures of several tests add up. `seed` is that of its choices, if it has any.
    ///
    /// # Panics
    /// When the figures are not those that the run counts, each in its place, or cannot be written.
    pub fn record(&self, seed: Option<u64>, figures: &[(&str, u64)]) {
        let told: Vec<&str> = figures.iter().map(|(label, _)| *label).collect();
        assert_eq!(told, self.labels().collect::<Vec<_>>(), "{}: what is counted and what is declared differ", self.key);
        let Some(file) = env::var_os(FILE_VARIABLE) else { return };
        let counts: Map<String, Value> = figures.iter().map(|(label, count)| ((*label).to_owned(), json!(count))).collect();
        let line = format!("{}\n", json!({ "run": self.key, "seed": seed, "counts": counts }));
        // One write a line: tests of several processes add to the same file.
        let written =
            OpenOptions::new().create(true).append(true).open(&file).and_then(|mut file| file.write_all(line.as_bytes()));
        written
            .unwrap_or_else(|error| panic!("{FILE_VARIABLE} names a file that cannot be written: {}: {error}", file.display()));
    }
}

/// The seed that `TALLYBOOK_SEED` gives, or any one. Whoever takes it says so when something fails.
///
/// # Panics
/// When the variable holds no whole number.
pub fn seed() -> u64 {
    match env::var(SEED_VARIABLE) {
        Ok(text) if !text.is_empty() => {
            text.parse().unwrap_or_else(|_| panic!("{SEED_VARIABLE} must be a whole number, not {text:?}"))
        }
        _ => rand::random(),
    }
}
