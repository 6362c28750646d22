//! A sample: some days, drawn at random from those that hold anything.
//!
//! Drawn by a digest of the seed and the day, so that the same seed draws the same days on any machine and with any version, and
//! mostly the same ones when days have been added.
use jiff::civil::Date;
use sha2::{Digest, Sha256};
use std::str::FromStr;

/// How many days to draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// So many.
    Days(u32),
    /// So many of a hundred, and at least one.
    Percent(u32),
}

/// Not a size of a sample.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a number of days from 1 on, or a percentage from 1% to 100%")]
pub struct SizeError;

impl FromStr for Size {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (digits, make, max): (_, fn(u32) -> Self, _) = match text.strip_suffix('%') {
            Some(digits) => (digits, Self::Percent, 100),
            None => (text, Self::Days, u32::MAX),
        };
        let number = digits.parse().map_err(|_| SizeError)?;
        if (1..=max).contains(&number) { Ok(make(number)) } else { Err(SizeError) }
    }
}

/// A sample to be drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// How many days.
    pub size: Size,
    /// What decides which ones.
    pub seed: u32,
}

/// A sample that was drawn.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Sampled {
    /// Draws the same days again.
    pub seed: u32,
    /// The days drawn, in order.
    pub days: Vec<Date>,
    /// How many there were to draw from.
    pub of_days: usize,
}

impl Sample {
    /// Draws from `days`, which are in order.
    pub(super) fn draw(self, days: &[Date]) -> Sampled {
        let wanted = match self.size {
            Size::Days(number) => usize::try_from(number).unwrap_or(usize::MAX),
            Size::Percent(percent) => usize::try_from(percent).map_or(usize::MAX, |p| days.len().saturating_mul(p).div_ceil(100)),
        };
        let mut drawn = days.to_vec();
        drawn.sort_by_cached_key(|day| Sha256::digest(format!("{} {day}", self.seed)));
        drawn.truncate(wanted);
        drawn.sort_unstable();
        Sampled { seed: self.seed, days: drawn, of_days: days.len() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::ToSpan;
    use jiff::civil::date;

    fn days(number: usize) -> Vec<Date> {
        date(2026, 1, 1).series(1.day()).take(number).collect()
    }

    #[test]
    fn a_seed_draws_the_same_days_again_and_another_one_others() {
        let draw = |seed, number| Sample { size: Size::Days(5), seed }.draw(&days(number)).days;
        assert_eq!(draw(7, 100), draw(7, 100));
        assert_ne!(draw(7, 100), draw(8, 100));
        let kept = draw(7, 101).iter().filter(|day| draw(7, 100).contains(day)).count();
        assert!(kept >= 4, "one more day replaces one at most");
        // Written down, so that no version draws otherwise.
        let drawn: Vec<String> = draw(7, 100).iter().map(ToString::to_string).collect();
        assert_eq!(drawn, ["2026-01-04", "2026-01-27", "2026-03-02", "2026-03-19", "2026-04-10"]);
    }

    #[test]
    fn sizes_are_whole_and_bounded_by_what_is_there() {
        let drawn = |size, number| Sample { size, seed: 0 }.draw(&days(number)).days.len();
        assert_eq!([drawn(Size::Days(3), 2), drawn(Size::Percent(1), 5), drawn(Size::Percent(50), 5)], [2, 1, 3]);
        assert_eq!([drawn(Size::Percent(100), 5), drawn(Size::Percent(10), 0)], [5, 0]);
        assert_eq!(
            ["12".parse(), "5%".parse(), "100%".parse()],
            [Ok(Size::Days(12)), Ok(Size::Percent(5)), Ok(Size::Percent(100))]
        );
        for bad in ["0", "0%", "101%", "-1", "1.5%", "", "%", "many"] {
            assert_eq!(bad.parse::<Size>(), Err(SizeError), "{bad}");
        }
    }
}
