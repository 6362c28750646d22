//! Times as people write them: 200ms, 20s, 1h30m.
use jiff::SignedDuration;
use std::time::Duration;

/// The shortest that is not none: locks are waited for in whole milliseconds.
const LEAST: Duration = Duration::from_millis(1);

/// Reads a time, which may be none.
pub(super) fn any(text: &str) -> Result<Duration, &'static str> {
    let parsed = text.trim().parse().ok().and_then(|time: SignedDuration| Duration::try_from(time).ok());
    parsed.ok_or("a time, such as 200ms, 20s or 1h30m")
}

/// Reads a time of a millisecond or more.
pub(super) fn some(text: &str) -> Result<Duration, &'static str> {
    any(text).and_then(|time| if time < LEAST { Err("a time of 1ms or more, such as 200ms, 20s or 1h30m") } else { Ok(time) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_as_people_say_it_with_a_unit() {
        for (text, milliseconds) in
            [("200ms", 200), ("20s", 20_000), ("2m", 120_000), ("1h30m", 5_400_000), (" 90 seconds ", 90_000)]
        {
            let time = Duration::from_millis(milliseconds);
            assert_eq!((any(text), some(text)), (Ok(time), Ok(time)), "{text}");
        }
        for bad in ["", "20", "-5s", "soon"] {
            assert!(any(bad).is_err() && some(bad).is_err(), "{bad}");
        }
        assert_eq!(any("0s"), Ok(Duration::ZERO));
        for none in ["0s", "999us"] {
            assert!(some(none).unwrap_err().contains("1ms"), "{none}");
        }
    }
}
