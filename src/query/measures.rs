//! What is summed: tokens and money, exactly.
use serde::{Serialize, Serializer};
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgTypeInfo, PgValueRef};
use sqlx::{Decode, FromRow, Postgres, Type};
use std::fmt;
use std::ops::Add;
use utoipa::ToSchema;

/// Ticks of one US dollar.
const TICKS_PER_USD: u128 = 10_000_000_000;

/// A sum of counts, in whole numbers without bound that matters: 10^19 rows of the largest count would fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = i64, example = 125_000)]
pub struct Tokens(i128);

/// A sum of money in 1e-10 USD; a decimal string in JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, ToSchema)]
#[schema(value_type = String, example = "1.0375")]
pub struct Usd(i128);

/// What usage consists of. The token counts are disjoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, FromRow, ToSchema)]
pub struct Measures {
    /// Input that was in no cache.
    pub input_tokens: Tokens,
    /// Output, with reasoning.
    pub output_tokens: Tokens,
    /// Input that was read from a cache.
    pub cache_read_tokens: Tokens,
    /// Input that was written to a cache, for its ordinary life.
    pub cache_write_tokens: Tokens,
    /// Input that was written to a cache for an hour.
    pub cache_write_1h_tokens: Tokens,
    /// What the providers named as the price, in USD; usage for which none was named adds nothing.
    #[sqlx(rename = "cost_usd_ticks")]
    pub cost_usd: Usd,
    /// The part of the tokens for which no provider named a price.
    #[sqlx(flatten)]
    pub uncosted: Uncosted,
    /// How many usage rows that is.
    #[schema(value_type = i64, example = 3)]
    pub event_count: Tokens,
}

/// Tokens for which no provider named a price: what a price list would have to estimate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, FromRow, ToSchema)]
pub struct Uncosted {
    /// Of `input_tokens`.
    #[sqlx(rename = "uncosted_input_tokens")]
    pub input_tokens: Tokens,
    /// Of `output_tokens`.
    #[sqlx(rename = "uncosted_output_tokens")]
    pub output_tokens: Tokens,
    /// Of `cache_read_tokens`.
    #[sqlx(rename = "uncosted_cache_read_tokens")]
    pub cache_read_tokens: Tokens,
    /// Of `cache_write_tokens`.
    #[sqlx(rename = "uncosted_cache_write_tokens")]
    pub cache_write_tokens: Tokens,
    /// Of `cache_write_1h_tokens`.
    #[sqlx(rename = "uncosted_cache_write_1h_tokens")]
    pub cache_write_1h_tokens: Tokens,
}

impl Tokens {
    /// The number.
    pub fn get(self) -> i128 {
        self.0
    }
}

impl Usd {
    /// The number of ticks: 1e-10 USD each.
    pub fn ticks(self) -> i128 {
        self.0
    }
}

impl Measures {
    /// All tokens, of whatever kind.
    pub fn tokens(&self) -> Tokens {
        self.input_tokens + self.output_tokens + self.cache_read_tokens + self.cache_write_tokens + self.cache_write_1h_tokens
    }
}

impl Uncosted {
    /// All tokens, of whatever kind.
    pub fn tokens(&self) -> Tokens {
        self.input_tokens + self.output_tokens + self.cache_read_tokens + self.cache_write_tokens + self.cache_write_1h_tokens
    }
}

impl Add for Tokens {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.checked_add(other.0).expect("sums of counts are far below 2^127"))
    }
}

impl Add for Usd {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.checked_add(other.0).expect("sums of money are far below 2^127"))
    }
}

impl Add for Uncosted {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            input_tokens: self.input_tokens + other.input_tokens,
            output_tokens: self.output_tokens + other.output_tokens,
            cache_read_tokens: self.cache_read_tokens + other.cache_read_tokens,
            cache_write_tokens: self.cache_write_tokens + other.cache_write_tokens,
            cache_write_1h_tokens: self.cache_write_1h_tokens + other.cache_write_1h_tokens,
        }
    }
}

impl Add for Measures {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            input_tokens: self.input_tokens + other.input_tokens,
            output_tokens: self.output_tokens + other.output_tokens,
            cache_read_tokens: self.cache_read_tokens + other.cache_read_tokens,
            cache_write_tokens: self.cache_write_tokens + other.cache_write_tokens,
            cache_write_1h_tokens: self.cache_write_1h_tokens + other.cache_write_1h_tokens,
            cost_usd: self.cost_usd + other.cost_usd,
            uncosted: self.uncosted + other.uncosted,
            event_count: self.event_count + other.event_count,
        }
    }
}

impl fmt::Display for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ticks = self.0.unsigned_abs();
        let fraction = format!("{:010}", ticks % TICKS_PER_USD);
        let fraction = fraction.trim_end_matches('0');
        let point = if fraction.is_empty() { "" } else { "." };
        f.pad_integral(self.0 >= 0, "", &format!("{}{point}{fraction}", ticks / TICKS_PER_USD))
    }
}

impl Serialize for Usd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Sums are `numeric` in the database, which has more digits than any type here: the statements give them as text.
macro_rules! decoded_from_text {
    ($($name:ident),*) => {$(
        impl Type<Postgres> for $name {
            fn type_info() -> PgTypeInfo {
                <&str as Type<Postgres>>::type_info()
            }
        }

        impl<'r> Decode<'r, Postgres> for $name {
            fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
                Ok(Self(<&str as Decode<Postgres>>::decode(value)?.parse()?))
            }
        }
    )*};
}
decoded_from_text!(Tokens, Usd);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_shown_exactly() {
        for (ticks, shown) in [
            (0, "0"),
            (1, "0.0000000001"),
            (-1, "-0.0000000001"),
            (125_000_000, "0.0125"),
            (30_000_000_000, "3"),
            (123_456_789_012_345_678_901_234_567_890, "12345678901234567890.123456789"),
        ] {
            assert_eq!(Usd(ticks).to_string(), shown);
            assert_eq!(serde_json::to_string(&Usd(ticks)).unwrap(), format!("{shown:?}"));
        }
    }

    #[test]
    fn counts_keep_every_digit_in_json() {
        let sum = Tokens(i128::from(u64::MAX) * 1_000 + 1);
        assert_eq!(serde_json::to_string(&sum).unwrap(), "18446744073709551615001");
        assert_eq!(serde_json::to_value(sum).unwrap().to_string(), "18446744073709551615001");
    }

    /// Measures none of which is another's: `n` times powers of ten.
    fn measures(n: i128) -> Measures {
        let tokens = |power| Tokens(n * 10_i128.pow(power));
        Measures {
            input_tokens: tokens(0),
            output_tokens: tokens(1),
            cache_read_tokens: tokens(2),
            cache_write_tokens: tokens(3),
            cache_write_1h_tokens: tokens(4),
            cost_usd: Usd(n * 10_i128.pow(5)),
            uncosted: Uncosted {
                input_tokens: tokens(6),
                output_tokens: tokens(7),
                cache_read_tokens: tokens(8),
                cache_write_tokens: tokens(9),
                cache_write_1h_tokens: tokens(10),
            },
            event_count: tokens(11),
        }
    }

    #[test]
    fn each_measure_is_added_to_its_own_and_all_tokens_are_those_of_every_kind() {
        assert_eq!(measures(2) + measures(5), measures(7));
        assert_eq!(measures(2) + Measures::default(), measures(2));
        assert_eq!(measures(3).tokens().get(), 33_333);
        assert_eq!(measures(3).uncosted.tokens().get(), 33_333_000_000);
        assert_eq!(measures(3).cost_usd.ticks(), 300_000);
        assert_eq!(format!("{:>6}|{:>6}", Tokens(-17), Usd(-15_000_000_000)), "   -17|  -1.5");
    }
}
