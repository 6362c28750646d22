//! What a run is told from outside: how often to kill, and the seed that all its choices follow from.
use rand::SeedableRng;
use rand::rngs::StdRng;

/// Kills of an ordinary test run: each point once.
const KILLS: usize = 12;
const SEED: u64 = 1;

/// How often to kill.
pub(super) fn kills() -> usize {
    number("TALLYBOOK_KILLS").map_or(KILLS, |kills| usize::try_from(kills).unwrap())
}

/// The seed of this run.
pub(super) fn seed() -> u64 {
    number("TALLYBOOK_SEED").unwrap_or(SEED)
}

/// The choices of one part of the run, the same whenever the seed is.
pub(super) fn choices(part: u64) -> StdRng {
    StdRng::seed_from_u64(seed().wrapping_mul(1_000_003).wrapping_add(part))
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} must be a whole number, not {text:?}")))
}
