//! A file to be imported, and what it comes to.
use super::recovery::Imported;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Records of a file: more than are stored at a time.
pub(super) const RECORDS: i64 = 6_000;

/// A CSV file.
pub(super) struct ImportFile {
    path: PathBuf,
    pub(super) holds: Imported,
}

impl ImportFile {
    /// Writes one; `number` makes its name and its counts its own.
    pub(super) fn write(directory: &Path, number: i64) -> Self {
        let path = directory.join(format!("requests-{number}.csv"));
        let mut text = "TIMESTAMP,ContextTokens,GeneratedTokens\n".to_owned();
        let mut holds = (0, 0, 0);
        for record in 0..RECORDS {
            let (hour, minute) = (record / 60, record % 60);
            let (input, output) = (number + record, record % 7);
            writeln!(text, "2025-06-{:02}T{:02}:{minute:02}:00Z,{input},{output}", hour / 24 + 1, hour % 24).unwrap();
            holds = (holds.0 + 1, holds.1 + input, holds.2 + output);
        }
        std::fs::write(&path, text).unwrap();
        Self { path, holds }
    }

    /// The command that seals what such files hold, of June 2025, and nothing that is reported.
    pub(super) fn sealing() -> String {
        let today = tallybook::clock::Clock::system().now().to_zoned(jiff::tz::TimeZone::UTC).date();
        let days = (today - jiff::civil::date(2025, 12, 1)).get_days();
        format!("retain --raw {days}d --batch-rows 700 --json")
    }

    /// The command that imports it.
    pub(super) fn command(&self) -> String {
        let columns = "--time TIMESTAMP --input ContextTokens --output GeneratedTokens";
        let names = "--model =imported --provider =azure --workspace imports --agent importer --runtime importer";
        format!("import csv {} {columns} {names} --json", self.path.display())
    }
}
