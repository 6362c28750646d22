//! What many figures come to: quantiles, and ratios of figures that were taken in turns.
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How a measured figure is distributed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Summary {
    pub(super) count: usize,
    pub(super) low: f64,
    pub(super) median: f64,
    pub(super) p95: f64,
    pub(super) p99: f64,
    pub(super) high: f64,
}

impl Summary {
    /// Of at least one figure; of none all is 0.
    pub(super) fn of(figures: &[f64]) -> Self {
        let mut sorted = figures.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |percent: usize| quantile(&sorted, percent);
        Self { count: sorted.len(), low: at(0), median: at(50), p95: at(95), p99: at(99), high: at(100) }
    }

    /// Of durations, in seconds.
    pub(super) fn of_times(times: &[Duration]) -> Self {
        Self::of(&times.iter().map(Duration::as_secs_f64).collect::<Vec<_>>())
    }
}

/// The smallest figure that `percent` of all do not exceed; halves meet in the middle.
fn quantile(sorted: &[f64], percent: usize) -> f64 {
    let (Some(last), scaled) = (sorted.len().checked_sub(1), sorted.len().saturating_sub(1) * percent) else { return 0.0 };
    let below = scaled / 100;
    if percent == 50 && !scaled.is_multiple_of(100) {
        return f64::midpoint(sorted[below], sorted[(below + 1).min(last)]);
    }
    sorted[scaled.div_ceil(100).min(last)]
}

/// How many times `figures` the others are, turn by turn.
pub(super) fn ratios(numerators: &[f64], denominators: &[f64]) -> Summary {
    let each = numerators.iter().zip(denominators).map(|(numerator, denominator)| numerator / denominator);
    // What was too small to be measured tells nothing.
    Summary::of(&each.filter(|ratio| ratio.is_finite()).collect::<Vec<_>>())
}

/// A count as a float, for ratios and rates.
pub(super) fn float(count: u64) -> f64 {
    let halves = [count >> 32, count & 0xffff_ffff].map(|half| f64::from(u32::try_from(half).unwrap_or(u32::MAX)));
    halves[0] * 4_294_967_296.0 + halves[1]
}

/// A length as a float.
pub(super) fn length(items: usize) -> f64 {
    float(u64::try_from(items).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_figures_that_were_met() {
        let hundred: Vec<f64> = (0..=100).rev().map(f64::from).collect();
        let summary = Summary::of(&hundred);
        assert_eq!((summary.low, summary.median, summary.p95, summary.p99, summary.high), (0.0, 50.0, 95.0, 99.0, 100.0));
        let few = Summary::of(&[1.0, 4.0]);
        assert_eq!((few.median, few.p95, few.p99, few.count), (2.5, 4.0, 4.0, 2));
        assert_eq!(Summary::of(&[]).count, 0);
    }

    #[test]
    fn ratios_are_of_the_same_turn() {
        let ratio = ratios(&[2.0, 30.0, 8.0], &[1.0, 10.0, 2.0]);
        assert_eq!((ratio.low, ratio.median, ratio.high), (2.0, 3.0, 4.0));
    }

    #[test]
    fn counts_stay_what_they_are() {
        assert_eq!((float(10_000_000_000), length(3)), (1e10, 3.0));
    }
}
