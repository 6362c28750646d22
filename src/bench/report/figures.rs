//! Figures as people read them: three digits that count or all of the whole number, with their unit.
use crate::bench::results::{Bound, Figure, Unit};
use crate::bench::stats::Summary;
use crate::model::count::thousands;

/// A figure in its cell.
pub(super) fn cell(figure: &Figure) -> String {
    match figure {
        Figure::Text(text) => text.clone(),
        Figure::Count(count) => thousands(count),
        Figure::Value { unit, value } => text(*unit, *value),
        Figure::Measured { unit, value, ratio } => {
            let spread = if value.count > 1 {
                format!(" ({} to {})", text(*unit, value.low), text(*unit, value.high))
            } else {
                String::new()
            };
            let ratio =
                ratio.map_or(String::new(), |ratio| format!("<br>**{}**{}", text(Unit::Times, ratio.median), between(&ratio)));
            format!("{}{spread}{ratio}", text(*unit, value.median))
        }
        Figure::Latency(times) if times.count == 0 => "none".to_owned(),
        Figure::Latency(times) => {
            let [median, p95, p99] = [times.median, times.p95, times.p99].map(|seconds| text(Unit::Seconds, seconds));
            format!("{median} (p95 {p95}, p99 {p99})")
        }
    }
}

fn between(ratio: &Summary) -> String {
    if ratio.count > 1 {
        format!(" ({} to {})", text(Unit::Times, ratio.low), text(Unit::Times, ratio.high))
    } else {
        String::new()
    }
}

/// A bound, in words.
pub(super) fn bound(unit: Unit, bound: Bound) -> String {
    match bound {
        Bound::AtLeast(least) if least <= 0.0 => "is reported".to_owned(),
        Bound::AtLeast(least) => format!("at least {}", text(unit, least)),
        Bound::AtMost(most) if most <= 0.0 => "none".to_owned(),
        Bound::AtMost(most) => format!("at most {}", text(unit, most)),
    }
}

/// A value with its unit.
pub(super) fn text(unit: Unit, value: f64) -> String {
    match unit {
        Unit::PerSecond => format!("{}/s", digits(value)),
        Unit::Seconds => seconds(value),
        Unit::Bytes => bytes(value),
        Unit::Times | Unit::Count => digits(value),
    }
}

fn seconds(value: f64) -> String {
    match value {
        none if none <= 0.0 => "0 s".to_owned(),
        short if short < 1e-3 => format!("{} µs", digits(short * 1e6)),
        short if short < 1.0 => format!("{} ms", digits(short * 1e3)),
        some if some < 120.0 => format!("{} s", digits(some)),
        long => format!("{} min", digits(long / 60.0)),
    }
}

fn bytes(value: f64) -> String {
    match value {
        few if few < 1e3 => format!("{} B", digits(few)),
        some if some < 1e6 => format!("{} kB", digits(some / 1e3)),
        many if many < 1e9 => format!("{} MB", digits(many / 1e6)),
        most => format!("{} GB", digits(most / 1e9)),
    }
}

/// Three digits that count, or all of a whole number.
fn digits(value: f64) -> String {
    let decimals = match value.abs() {
        whole if whole.fract() == 0.0 => 0,
        large if large >= 100.0 => 0,
        middle if middle >= 10.0 => 1,
        small if small >= 0.1 => 2,
        _ => 3,
    };
    let number = format!("{value:.decimals$}");
    match number.split_once('.') {
        Some((whole, fraction)) => format!("{}.{fraction}", thousands(whole)),
        None => thousands(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits_and_a_unit() {
        let told = [
            text(Unit::PerSecond, 12_345.6),
            text(Unit::Seconds, 0.000_62),
            text(Unit::Seconds, 0.014_04),
            text(Unit::Seconds, 3.6),
            text(Unit::Seconds, 206.0),
            text(Unit::Bytes, 655_000_000.0),
            text(Unit::Times, 0.834),
            text(Unit::Count, 10_000_000.0),
        ];
        assert_eq!(told, ["12,346/s", "620 µs", "14.0 ms", "3.60 s", "3.43 min", "655 MB", "0.83", "10,000,000"]);
    }

    #[test]
    fn a_cell_tells_how_far_the_turns_lie_apart() {
        let figure = Figure::Measured {
            unit: Unit::PerSecond,
            value: Summary::of(&[90.0, 100.0, 110.0]),
            ratio: Some(Summary::of(&[0.8, 0.9])),
        };
        assert_eq!(cell(&figure), "100/s (90/s to 110/s)<br>**0.85** (0.80 to 0.90)");
    }
}
