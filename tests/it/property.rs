//! Properties: many random inputs, all of them from one seed, which a failure tells.
use proptest::prelude::*;
use proptest::test_runner::{FailurePersistence, RngSeed, TestRunner};

/// How many inputs are tried: as many as the environment asks for, or `otherwise`.
pub(crate) fn cases(variable: &str, otherwise: u32) -> u32 {
    std::env::var(variable).map_or(otherwise, |cases| cases.parse().unwrap())
}

/// Tries `check` with inputs of `strategy`: first with those that failed once, which `failed` keeps, then with `cases` new ones.
/// One that fails is made as short as it can be.
pub(crate) fn for_all<S: Strategy>(
    seed: u64,
    cases: u32,
    failed: Option<Box<dyn FailurePersistence>>,
    strategy: &S,
    check: impl Fn(S::Value),
) {
    let config =
        ProptestConfig { cases, rng_seed: RngSeed::Fixed(seed), failure_persistence: failed, ..ProptestConfig::default() };
    let tried = TestRunner::new(config).run(strategy, |input| {
        check(input);
        Ok(())
    });
    if let Err(failure) = tried {
        panic!("seed {seed}: {failure}");
    }
}
