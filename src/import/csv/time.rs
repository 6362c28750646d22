//! Times as files write them.
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// Nanoseconds of a second.
const SECOND: i128 = 1_000_000_000;

/// Reads `2023-11-16 18:17:03.9799600`, in `zone` unless it names an offset, or a number of seconds,
/// milliseconds, microseconds or nanoseconds since 1970, told apart by their digits.
///
/// In a zone that sets its clocks, a time that comes twice is the first, and one that is left out is what the clock
/// would have shown without the change.
pub(super) fn parse(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    const UTC: &TimeZone = &TimeZone::UTC;
    let (text, zone) = text.strip_suffix(" UTC").map_or((text, zone), |text| (text, UTC));
    if text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return since_1970(text);
    }
    if let Ok(time) = text.parse() {
        return Some(time);
    }
    zone.to_timestamp(text.parse::<DateTime>().ok()?).ok()
}

fn since_1970(text: &str) -> Option<Timestamp> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let unit = match whole.len() {
        1..=11 => SECOND,
        12..=14 => SECOND / 1_000,
        15..=17 => SECOND / 1_000_000,
        _ => 1,
    };
    let digits = fraction.len().min(9);
    let fraction = format!("{:0<9}", &fraction[..digits]).parse::<i128>().ok()?;
    let whole = whole.parse::<i128>().ok()?;
    Timestamp::from_nanosecond(whole.checked_mul(unit)?.checked_add(fraction * unit / SECOND)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, zone: &str) -> Option<String> {
        parse(text, &TimeZone::get(zone).unwrap()).map(|time| time.to_string())
    }

    #[test]
    fn times_are_read_as_files_write_them() {
        for (text, time) in [
            ("2023-11-16 18:17:03.9799600", "2023-11-16T18:17:03.97996Z"),
            ("2023-11-16T18:17:03", "2023-11-16T18:17:03Z"),
            ("2023-11-16T18:17:03Z", "2023-11-16T18:17:03Z"),
            ("2023-11-16T18:17:03+05:30", "2023-11-16T12:47:03Z"),
            ("2023-11-16 18:17:03+00", "2023-11-16T18:17:03Z"),
            ("2023-11-16 18:17:03 UTC", "2023-11-16T18:17:03Z"),
            ("2023-11-16", "2023-11-16T00:00:00Z"),
            ("1700158623", "2023-11-16T18:17:03Z"),
            ("1700158623.98", "2023-11-16T18:17:03.98Z"),
            ("1700158623979", "2023-11-16T18:17:03.979Z"),
            ("1700158623979.5", "2023-11-16T18:17:03.9795Z"),
            ("1700158623979960", "2023-11-16T18:17:03.97996Z"),
            ("1700158623979960001", "2023-11-16T18:17:03.979960001Z"),
        ] {
            assert_eq!(read(text, "UTC").as_deref(), Some(time), "{text}");
        }
        for text in ["", "NaN", "yesterday", ".", "1.2.3", "-5", "18:17:03", "2023-13-01", "9".repeat(60).as_str()] {
            assert_eq!(read(text, "UTC"), None, "{text}");
        }
    }

    #[test]
    fn the_zone_counts_only_where_no_offset_is_named() {
        assert_eq!(read("2023-11-16 18:00:00", "Asia/Kolkata").unwrap(), "2023-11-16T12:30:00Z");
        assert_eq!(read("2023-11-16 18:00:00Z", "Asia/Kolkata").unwrap(), "2023-11-16T18:00:00Z");
        assert_eq!(read("2023-11-16 18:00:00 UTC", "Asia/Kolkata").unwrap(), "2023-11-16T18:00:00Z");
        assert_eq!(read("2023-10-29 02:30:00", "Europe/Berlin").unwrap(), "2023-10-29T00:30:00Z", "the first of two");
        assert_eq!(read("2023-03-26 02:30:00", "Europe/Berlin").unwrap(), "2023-03-26T01:30:00Z", "in the gap");
    }
}
