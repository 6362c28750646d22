//! How old usage has to be: whole UTC days.
use std::fmt;
use std::str::FromStr;

/// The longest age: a hundred years.
const DAYS_MAX: u16 = 36_600;

/// A number of UTC days before today: `90d`. Usage that happened before that day is old.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(transparent)]
pub struct Age(u16);

/// Not an age.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a number of days from 1d to {DAYS_MAX}d, such as 90d")]
pub struct NotAnAge;

impl Age {
    /// How many days.
    pub fn days(self) -> i32 {
        i32::from(self.0)
    }
}

impl FromStr for Age {
    type Err = NotAnAge;

    fn from_str(text: &str) -> Result<Self, NotAnAge> {
        let digits = text.strip_suffix('d').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit())).ok_or(NotAnAge)?;
        let days = digits.parse().map_err(|_| NotAnAge)?;
        if (1..=DAYS_MAX).contains(&days) { Ok(Self(days)) } else { Err(NotAnAge) }
    }
}

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}d", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_written_in_days() {
        assert_eq!("90d".parse::<Age>().unwrap().days(), 90);
        assert_eq!("36600d".parse::<Age>().unwrap().to_string(), "36600d");
        for bad in ["", "d", "90", "0d", "-1d", "+1d", "1.5d", "36601d", "90 d", "3m", "99999999d"] {
            assert_eq!(bad.parse::<Age>(), Err(NotAnAge), "{bad}");
        }
    }
}
