//! What is never the same twice, made the same: days and times, ages, sizes, and the names that tests make up.
use jiff::Timestamp;
use jiff::civil::{Date, date};
use jiff::tz::TimeZone;

/// The day on which all of it seems to have happened.
const DAY: Date = date(2026, 12, 1);
/// The time of day at which all seems to have happened.
const TIME: &str = "T12:00:00Z";

/// What stands between the first two of these (to the end of the line, where the second is empty) is replaced by the third.
const MEASURED: [(&str, &str, &str); 6] = [
    ("Database      PostgreSQL ", ", accepts", "15.14 (Debian 15.14-0+deb12u1), 10 MB"),
    (", the oldest captured ", " ago", "0.4 s"),
    ("Last fold     2026-12-01T12:00:00Z, ", " ago", "0.9 s"),
    ("It takes at least about ", ":", "1s"),
    ("a sample was summed at ", " raw rows a second", "60"),
    ("rows (about), ", "", "64 kB"),
];

/// How findings of `doctor` begin that depend on the tests' server, and on what other tests do there.
const OF_THE_SERVER: [&str; 2] = ["WARNING    setting ", "WARNING    replication slot "];

pub(super) struct Redactions {
    today: Date,
    /// What is replaced by what.
    names: Vec<(String, String)>,
}

/// The day that it is, in UTC.
pub(super) fn today() -> Date {
    #[expect(clippy::disallowed_methods, reason = "the commands that are run take the time from the system")]
    Timestamp::now().to_zoned(TimeZone::UTC).date()
}

impl Redactions {
    pub(super) fn new() -> Self {
        Self { today: today(), names: Vec::new() }
    }

    /// The day that was today at the beginning.
    pub(super) fn today(&self) -> Date {
        self.today
    }

    /// From now on `name` is shown as `shown`.
    pub(super) fn name(&mut self, name: impl Into<String>, shown: &str) {
        self.names.push((name.into(), shown.to_owned()));
    }

    /// `text`, with all of it replaced.
    pub(super) fn text(&self, text: &str) -> String {
        let named = self.names.iter().fold(text.to_owned(), |text, (name, shown)| text.replace(name, shown));
        let of_the_server = |paragraph: &&str| OF_THE_SERVER.iter().any(|finding| paragraph.starts_with(finding));
        let kept = named.split("\n\n").filter(|paragraph| !of_the_server(paragraph)).collect::<Vec<_>>().join("\n\n");
        kept.split_inclusive('\n').map(|line| size(measured(self.moved(line)))).collect()
    }

    /// The line with every day as far from [`DAY`] as it is from today.
    fn moved(&self, line: &str) -> String {
        with_days(line, |day| DAY + (day - self.today))
    }
}

/// The text with another day in the place of each, and the same time of all days.
pub(crate) fn with_days(text: &str, other: impl Fn(Date) -> Date) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let day = rest.get(..10).filter(|word| word.as_bytes()[4] == b'-').and_then(|word| word.parse().ok());
        let Some(day) = day else {
            shown.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        };
        shown.push_str(&other(day).to_string());
        rest = &rest[10..];
        let is_time = |time: &str| time.starts_with('T') && !time.contains(char::is_whitespace);
        if let Some((_, after)) = rest.split_once('Z').filter(|(time, _)| is_time(time)) {
            shown.push_str(TIME);
            rest = after;
        }
    }
    shown
}

fn measured(mut line: String) -> String {
    for (before, after, value) in MEASURED {
        let Some(begin) = line.find(before).map(|at| at + before.len()) else { continue };
        let end = if after.is_empty() { Some(line.trim_end().len()) } else { line[begin..].find(after).map(|at| begin + at) };
        if let Some(end) = end {
            line.replace_range(begin..end, value);
        }
    }
    line
}

/// The last column of a table where that is a size, in the same width.
fn size(line: String) -> String {
    let shown = line.trim_end();
    let end = &line[shown.len()..];
    if let Some(before) = shown.strip_suffix("  size") {
        return format!("{}   size{end}", before.trim_end());
    }
    let Some(number) = shown.strip_suffix(" kB") else { return line };
    let before = number.trim_end_matches(|c: char| c.is_ascii_digit());
    if before.ends_with("  ") { format!("{}  96 kB{end}", before.trim_end()) } else { line }
}
