//! Properties of what happens to hostile input, whoever takes it: many inputs, all of them from one seed, which a failure tells.
use super::results::{self, FUZZ};
use proptest::prelude::*;
use proptest::test_runner::{FileFailurePersistence, RngSeed, TestCaseResult, TestRunner};
use std::cell::Cell;

/// Tries `check` with inputs of `strategy`: first with those that failed once, which the file `failed` keeps, then with
/// `TALLYBOOK_FUZZ_CASES` new ones, or `cases`.
pub(crate) fn for_all<S: Strategy>(failed: &'static str, cases: u32, strategy: &S, check: impl Fn(S::Value) -> TestCaseResult) {
    let seed = results::seed();
    let config = ProptestConfig {
        cases: std::env::var("TALLYBOOK_FUZZ_CASES").map_or(cases, |cases| cases.parse().unwrap()),
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(failed))),
        ..ProptestConfig::default()
    };
    let inputs = Cell::new(0);
    let tried = TestRunner::new(config).run(strategy, |input| {
        inputs.set(inputs.get() + 1);
        check(input)
    });
    if let Err(failure) = tried {
        panic!("seed {seed}: {failure}");
    }
    FUZZ.record(Some(seed), &[("properties", 1), ("inputs", inputs.get()), ("failures", 0)]);
}
