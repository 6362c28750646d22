//! How fast to go: history can wait, the database's other users cannot.
use std::num::NonZeroU32;
use std::time::Duration;

/// Slices are so small that a limited rate shows in steps of about this length.
const STEP_SECONDS: u32 = 5;

/// A limit of the pace. The default has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Throttle {
    /// Raw rows a second, over a slice and the pause after it.
    pub rows_per_second_max: Option<NonZeroU32>,
    /// Least pause after each slice.
    pub pause: Duration,
}

impl Throttle {
    /// How many raw rows a slice should read that may read `wanted`.
    pub(super) fn slice_rows(&self, wanted: i64) -> i64 {
        self.rows_per_second_max.map_or(wanted, |rate| wanted.min(i64::from(rate.get()).saturating_mul(STEP_SECONDS.into())))
    }

    /// How long to rest after a slice of so many rows.
    pub(super) fn pause_after(&self, raw_rows: i64, took: Duration) -> Duration {
        let rows = u64::try_from(raw_rows).unwrap_or(0);
        let least = self
            .rows_per_second_max
            .map_or(Duration::ZERO, |rate| Duration::from_millis(rows.saturating_mul(1000).div_ceil(rate.get().into())));
        least.saturating_sub(took).max(self.pause)
    }

    /// How long so many rows in so many slices take at least.
    pub(super) fn least(&self, raw_rows: i64, slices: usize) -> Duration {
        let rows = self.pause_after(raw_rows, Duration::ZERO);
        rows.max(self.pause.saturating_mul(u32::try_from(slices).unwrap_or(u32::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(rows_per_second: u32, pause: Duration) -> Throttle {
        Throttle { rows_per_second_max: NonZeroU32::new(rows_per_second), pause }
    }

    #[test]
    fn a_slice_and_its_pause_keep_to_the_rate() {
        let throttle = at(1_000, Duration::ZERO);
        let second = Duration::from_secs(1);
        assert_eq!(throttle.pause_after(5_000, second), second * 4);
        assert_eq!(throttle.pause_after(5_000, second * 9), Duration::ZERO, "a busy day is not made up for");
        assert_eq!(throttle.pause_after(0, Duration::ZERO), Duration::ZERO);
        assert_eq!(throttle.pause_after(1, Duration::ZERO), Duration::from_millis(1));
        assert_eq!(throttle.slice_rows(200_000), 5_000);
        assert_eq!(throttle.slice_rows(10), 10);
    }

    #[test]
    fn a_pause_is_kept_whatever_the_rate() {
        let pause = Duration::from_millis(200);
        assert_eq!(at(0, pause).pause_after(1_000_000, Duration::ZERO), pause);
        assert_eq!(at(1_000, pause).pause_after(100, Duration::ZERO), pause);
        assert_eq!(at(1_000, pause).pause_after(1_000, Duration::ZERO), Duration::from_secs(1));
        assert_eq!(Throttle::default().pause_after(i64::MAX, Duration::ZERO), Duration::ZERO);
        assert_eq!(Throttle::default().slice_rows(7), 7);
    }

    #[test]
    fn the_least_time_is_that_of_whichever_limit_is_tighter() {
        assert_eq!(at(1_000, Duration::from_millis(200)).least(10_000, 3), Duration::from_secs(10));
        assert_eq!(at(1_000, Duration::from_secs(9)).least(10_000, 3), Duration::from_secs(27));
    }
}
