//! A count of tokens: whole, not negative, bounded; and how whole numbers are written for people.
use std::fmt::{self, Display};

/// A number of tokens, 0 to [`Count::MAX`].
///
/// The bound keeps a hostile or broken reporter from spoiling a sum that others share: a million times
/// the largest context window of our day still fits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Count(i64);

/// Why a text or a number is no count. Reads on after the name of the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It has a sign, a fraction, an exponent, or is no number at all.
    #[error("must be a whole number of tokens, written in digits only")]
    NotWhole,
    /// It is below zero.
    #[error("must not be negative")]
    Negative,
    /// It is above [`Count::MAX`].
    #[error("must be at most {max}", max = Count::MAX)]
    TooLarge,
}

impl Count {
    /// No tokens.
    pub const ZERO: Self = Self(0);
    /// The largest count that a report may carry.
    pub const MAX: Self = Self(1_000_000_000_000);

    /// The number, as the database stores it.
    pub fn get(self) -> i64 {
        self.0
    }

    /// Reads a count from its decimal digits.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Error::NotWhole);
        }
        if digits.len() < text.len() {
            return Err(Error::Negative);
        }
        // Digits only: all that can go wrong now is that there are too many of them.
        digits.parse::<i64>().map_err(|_| Error::TooLarge).and_then(Self::try_from)
    }
}

impl TryFrom<i64> for Count {
    type Error = Error;

    fn try_from(number: i64) -> Result<Self, Error> {
        match number {
            ..0 => Err(Error::Negative),
            _ if number > Self::MAX.0 => Err(Error::TooLarge),
            _ => Ok(Self(number)),
        }
    }
}

impl Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A whole number with its thousands apart: 1,234,567.
pub(crate) fn thousands(number: impl Display) -> String {
    let digits = number.to_string();
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits.as_str()), |rest| ("-", rest));
    let mut grouped = String::from(sign);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_whole_bounded_numbers_are_counts() {
        assert_eq!(Count::parse("0"), Ok(Count::ZERO));
        assert_eq!(Count::parse("007"), Ok(Count(7)));
        assert_eq!(Count::parse("1000000000000"), Ok(Count::MAX));
        assert_eq!(Count::parse("1000000000001"), Err(Error::TooLarge));
        assert_eq!(Count::parse(&"9".repeat(400)), Err(Error::TooLarge));
        assert_eq!(Count::parse("-1"), Err(Error::Negative));
        for text in ["", "-", "+1", "1.0", "1e3", "NaN", "Infinity", " 1", "1 ", "1_000", "0x10", "--1", "١"] {
            assert_eq!(Count::parse(text), Err(Error::NotWhole), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_count_is_read_back_from_its_text(number in 0..=Count::MAX.0) {
            prop_assert_eq!(Count::parse(&number.to_string()), Ok(Count(number)));
        }

        #[test]
        fn no_text_makes_an_invalid_count(text in "\\PC{0,30}") {
            if let Ok(count) = Count::parse(&text) {
                prop_assert!((0..=Count::MAX.0).contains(&count.get()));
            }
        }
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        let grouped = [0, 12, 123, 1_234, 123_456, -1_234_567].map(thousands);
        assert_eq!(grouped, ["0", "12", "123", "1,234", "123,456", "-1,234,567"]);
    }
}
