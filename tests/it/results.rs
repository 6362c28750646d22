//! The table of last results in docs/TESTING.md is what the runs themselves have counted.
//!
//! `docs/results.json` holds the last result of each run. `make results` takes newer ones over from where `scripts/record` has
//! left them, and writes the table; otherwise the test only compares.
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use tallybook::testing::results::{RUNS, Run};

const BEGIN: &str = "<!-- The last results: made by `make results`. -->\n";
const END: &str = "<!-- The end of the last results. -->\n";

/// The last result of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct LastResult {
    date: jiff::civil::Date,
    /// How long the command took, with all that it runs.
    seconds: u64,
    /// That of all choices, where there is one.
    seed: Option<u64>,
    counts: BTreeMap<String, u64>,
}

/// By the run's key.
type Results = BTreeMap<String, LastResult>;

/// What `scripts/record` leaves of a command.
#[derive(Deserialize)]
struct Recorded {
    date: jiff::civil::Date,
    seconds: u64,
    figures: Vec<Figures>,
}

/// What one test has counted.
#[derive(Deserialize)]
struct Figures {
    run: String,
    seed: Option<u64>,
    counts: BTreeMap<String, u64>,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

impl Recorded {
    /// Adds up what the tests of each run have counted.
    fn take_over(self, results: &mut Results) {
        let mut new = Results::new();
        for figures in self.figures {
            let empty = LastResult { date: self.date, seconds: self.seconds, seed: figures.seed, counts: BTreeMap::new() };
            let result = new.entry(figures.run).or_insert(empty);
            for (label, count) in figures.counts {
                *result.counts.entry(label).or_default() += count;
            }
        }
        results.append(&mut new);
    }
}

/// What lies in `directory` replaces what was known.
fn take_over_all(directory: &Path, results: &mut Results) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    let files =
        entries.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let recorded: Recorded = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        recorded.take_over(results);
    }
}

fn with_commas(count: u64) -> String {
    let digits = count.to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap()).collect();
    groups.join(",")
}

fn listed(labels: &[&str], result: &LastResult) -> String {
    let figures: Vec<String> = labels.iter().map(|label| format!("{} {label}", with_commas(result.counts[*label]))).collect();
    figures.join(", ")
}

fn duration(seconds: u64) -> String {
    if seconds < 120 { format!("{seconds} s") } else { format!("{} min", seconds / 60) }
}

/// The table, a row a run.
fn table(results: &Results) -> String {
    let mut table = "\n| what | tried | went wrong | command | date | seed | took |\n|---|---|---|---|---|---|---|\n".to_owned();
    for Run { key, what, command, counts, faults } in RUNS {
        let Some(result) = results.get(*key) else {
            writeln!(table, "| {what} | no result yet | | `{command}` | | | |").unwrap();
            continue;
        };
        let seed = result.seed.map_or_else(String::new, |seed| seed.to_string());
        let (tried, wrong) = (listed(counts, result), listed(faults, result));
        let LastResult { date, seconds, .. } = result;
        writeln!(table, "| {what} | {tried} | {wrong} | `{command}` | {date} | {seed} | {} |", duration(*seconds)).unwrap();
    }
    table.push('\n');
    table
}

#[test]
fn the_table_of_last_results_is_what_the_runs_have_counted() {
    let (results_file, page_file) = (root().join("docs/results.json"), root().join("docs/TESTING.md"));
    let mut results: Results = serde_json::from_str(&fs::read_to_string(&results_file).unwrap()).unwrap();
    let page = fs::read_to_string(&page_file).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (shown, after) = rest.split_once(END).unwrap();
    let update = std::env::var_os("TALLYBOOK_UPDATE").is_some();
    if update {
        // Beside cargo's own directory for such files.
        take_over_all(&Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("results"), &mut results);
    }
    let (keys, known): (Vec<&str>, Vec<&str>) =
        (RUNS.iter().map(|run| run.key).collect(), results.keys().map(String::as_str).collect());
    assert!(known.iter().all(|key| keys.contains(key)), "runs that are none: {known:?}");
    for run in RUNS {
        let Some(result) = results.get(run.key) else { continue };
        let counted: Vec<&str> = result.counts.keys().map(String::as_str).collect();
        let mut labels: Vec<&str> = run.labels().collect();
        labels.sort_unstable();
        assert_eq!(counted, labels, "{}: `{}` counts something else by now", run.what, run.command);
        for fault in run.faults {
            assert_eq!(result.counts[*fault], 0, "{}: {fault}", run.what);
        }
    }
    let table = table(&results);
    if update {
        fs::write(&results_file, serde_json::to_string_pretty(&results).unwrap() + "\n").unwrap();
        fs::write(&page_file, [before, BEGIN, &table, END, after].concat()).unwrap();
    } else {
        assert!(shown == table, "the last results in docs/TESTING.md are stale: `make results`, and commit it");
    }
}

#[test]
fn figures_of_several_tests_add_up_and_replace_older_ones() {
    let recorded = r#"{"date": "2026-01-02", "seconds": 61, "figures": [
        {"run": "fuzz", "seed": 7, "counts": {"properties": 1, "inputs": 1200}},
        {"run": "fuzz", "seed": 7, "counts": {"properties": 1, "inputs": 34}}]}"#;
    let older = LastResult { date: "2026-01-01".parse().unwrap(), seconds: 1, seed: None, counts: BTreeMap::new() };
    let mut results = Results::from([("fuzz".to_owned(), older.clone()), ("soak".to_owned(), older.clone())]);
    serde_json::from_str::<Recorded>(recorded).unwrap().take_over(&mut results);
    assert_eq!(results["soak"], older);
    assert_eq!((results["fuzz"].seed, duration(results["fuzz"].seconds)), (Some(7), "61 s".to_owned()));
    assert_eq!(listed(&["properties", "inputs"], &results["fuzz"]), "2 properties, 1,234 inputs");
}
