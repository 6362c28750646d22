//! Money: whole ticks of 1e-10 USD, read from and written as decimal text, never through a float.
use std::fmt;
use std::str::FromStr;

/// Decimals of a USD that a tick resolves.
const DECIMALS: u32 = 10;
/// Ticks of one USD.
const PER_USD: i64 = 10_i64.pow(DECIMALS);
/// Longest text that is looked at.
const TEXT_BYTES_MAX: usize = 64;

/// A price in ticks of 1e-10 USD, 0 to [`Ticks::MAX`].
///
/// Zero is a price: what was free. That no price is known is the absence of a `Ticks`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticks(i64);

/// Why a text is no price. Reads on after the name of the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is no decimal number.
    #[error("must be an amount of USD in decimal digits, such as \"0.0125\"")]
    NotDecimal,
    /// It is below zero.
    #[error("must not be negative")]
    Negative,
    /// It is finer than a tick.
    #[error("must have at most 10 decimals")]
    TooFine,
    /// It is above [`Ticks::MAX`].
    #[error("must be at most {max} USD", max = Ticks::MAX)]
    TooLarge,
    /// It is longer than any amount has a reason to be.
    #[error("must be written in at most {TEXT_BYTES_MAX} characters")]
    TooLong,
}

impl Ticks {
    /// The largest price that a report may carry: 100 million USD.
    pub const MAX: Self = Self(100_000_000 * PER_USD);

    /// The number of ticks, as the database stores it.
    pub fn get(self) -> i64 {
        self.0
    }

    /// Reads an amount of USD from decimal text, an exponent included: exactly, or not at all.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(Error::TooLong);
        }
        let (negative, unsigned) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (mantissa, exponent) = split_exponent(unsigned)?;
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
        if whole.is_empty() || fraction.is_empty() || !is_digits(whole) || !is_digits(fraction) {
            return Err(Error::NotDecimal);
        }
        let digits = format!("{whole}{fraction}");
        let significant = digits.trim_matches('0');
        if significant.is_empty() {
            return Ok(Self(0));
        }
        if negative {
            return Err(Error::Negative);
        }
        // The value is `significant` followed by `zeros` zeros, in ticks; fewer than none is finer than a tick.
        let trailing = digits.len() - digits.trim_end_matches('0').len();
        let zeros = i64::from(DECIMALS) + exponent + length(trailing) - length(fraction.len());
        let zeros = u32::try_from(zeros).map_err(|_| if zeros < 0 { Error::TooFine } else { Error::TooLarge })?;
        let scale = 10_i64.checked_pow(zeros).ok_or(Error::TooLarge)?;
        let ticks = significant.parse::<i64>().ok().and_then(|number| number.checked_mul(scale)).ok_or(Error::TooLarge)?;
        Self::try_from(ticks)
    }
}

/// Splits `1.5e-3` into `1.5` and -3; an exponent out of any range counts as its bound.
fn split_exponent(text: &str) -> Result<(&str, i64), Error> {
    let Some((mantissa, exponent)) = text.split_once(['e', 'E']) else { return Ok((text, 0)) };
    let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    if digits.is_empty() || !is_digits(digits) {
        return Err(Error::NotDecimal);
    }
    let size = digits.parse::<i32>().map_or(i64::from(i32::MAX), i64::from);
    Ok((mantissa, if exponent.starts_with('-') { -size } else { size }))
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit())
}

/// A length within [`TEXT_BYTES_MAX`].
fn length(bytes: usize) -> i64 {
    i64::try_from(bytes).expect("the text is short")
}

impl FromStr for Ticks {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

impl TryFrom<i64> for Ticks {
    type Error = Error;

    fn try_from(ticks: i64) -> Result<Self, Error> {
        match ticks {
            ..0 => Err(Error::Negative),
            _ if ticks > Self::MAX.0 => Err(Error::TooLarge),
            _ => Ok(Self(ticks)),
        }
    }
}

/// The amount in USD, without needless zeros: `0.0125`.
impl fmt::Display for Ticks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (usd, rest) = (self.0 / PER_USD, self.0 % PER_USD);
        if rest == 0 { write!(f, "{usd}") } else { write!(f, "{usd}.{}", format!("{rest:010}").trim_end_matches('0')) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn decimal_text_is_read_exactly() {
        for (text, ticks) in [
            ("0", 0),
            ("-0.00", 0),
            ("0e99999999999999999999", 0),
            ("1", PER_USD),
            ("0.0000000001", 1),
            ("0.1", PER_USD / 10),
            ("0.10000000000", PER_USD / 10),
            ("1e-10", 1),
            ("12.5E-3", 125_000_000),
            ("1200e-12", 12),
            ("0.00012e+4", PER_USD + PER_USD / 5),
            ("100000000", Ticks::MAX.0),
        ] {
            assert_eq!(Ticks::parse(text), Ok(Ticks(ticks)), "{text:?}");
        }
    }

    #[test]
    fn what_is_not_exact_is_refused() {
        for (text, error) in [
            ("0.00000000001", Error::TooFine),
            ("1e-11", Error::TooFine),
            ("1e-99999999999999999999", Error::TooFine),
            ("-0.01", Error::Negative),
            ("100000000.0000000001", Error::TooLarge),
            ("1e9", Error::TooLarge),
            ("1e99999999999999999999", Error::TooLarge),
            ("", Error::NotDecimal),
            ("NaN", Error::NotDecimal),
            ("Infinity", Error::NotDecimal),
            (".5", Error::NotDecimal),
            ("5.", Error::NotDecimal),
            ("+1", Error::NotDecimal),
            ("1,5", Error::NotDecimal),
            ("1e", Error::NotDecimal),
            ("1e1.5", Error::NotDecimal),
            ("$1", Error::NotDecimal),
            (" 1", Error::NotDecimal),
        ] {
            assert_eq!(Ticks::parse(text), Err(error), "{text:?}");
        }
        assert_eq!(Ticks::parse(&"0".repeat(65)), Err(Error::TooLong));
    }

    proptest! {
        #[test]
        fn a_price_is_read_back_from_its_text(ticks in 0..=Ticks::MAX.0) {
            prop_assert_eq!(Ticks::parse(&Ticks(ticks).to_string()), Ok(Ticks(ticks)));
        }

        #[test]
        fn an_exponent_only_moves_the_point(ticks in 0..=Ticks::MAX.0, shift in 0_i32..12) {
            let text = format!("{ticks}{}e{}", "0".repeat(shift.unsigned_abs().try_into().unwrap()), -10 - shift);
            prop_assert_eq!(Ticks::parse(&text), Ok(Ticks(ticks)));
        }

        #[test]
        fn no_text_makes_an_invalid_price(text in "[-+]?[0-9]{0,24}[.]?[0-9]{0,14}([eE][-+]?[0-9]{0,12})?") {
            if let Ok(ticks) = Ticks::parse(&text) {
                prop_assert!((0..=Ticks::MAX.0).contains(&ticks.get()));
            }
        }
    }
}
