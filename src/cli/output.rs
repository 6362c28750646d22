//! Standard output: what scripts read.
//!
//! Whoever reads it may stop reading (`tallybook usage | head`): what comes after is written nowhere, and the
//! exit code stays what the work deserves. Any other failure to write is an error.
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde::Serialize;
use std::fmt::Display;
use std::io::{self, BufWriter, ErrorKind, Write};

pub(super) use crate::model::count::thousands;

/// Where results are written.
pub(super) struct Output(Option<Box<dyn Write + Send>>);

/// The output could not be written.
#[derive(Debug, thiserror::Error)]
#[error("the output cannot be written: {0}")]
pub(super) struct Error(io::Error);

impl Output {
    /// This process's standard output.
    pub(super) fn stdout() -> Self {
        Self::to(BufWriter::new(io::stdout()))
    }

    /// Output to `writer`.
    pub(super) fn to(writer: impl Write + Send + 'static) -> Self {
        Self(Some(Box::new(writer)))
    }

    /// Writes a line.
    pub(super) fn line(&mut self, text: impl Display) -> Result<(), Error> {
        self.attempt(|writer| writeln!(writer, "{text}"))
    }

    /// Writes a document of JSON, over several lines.
    pub(super) fn json(&mut self, value: &impl Serialize) -> Result<(), Error> {
        let text = serde_json::to_string_pretty(value).map_err(|error| Error(error.into()))?;
        self.line(text)
    }

    /// Hands the writer to `write`.
    pub(super) fn attempt(&mut self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Error> {
        let Some(writer) = &mut self.0 else { return Ok(()) };
        match write(writer) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.0 = None;
                Ok(())
            }
            written => written.map_err(Error),
        }
    }

    /// Writes out what is still held back.
    pub(super) fn finish(&mut self) -> Result<(), Error> {
        self.attempt(|writer| writer.flush())
    }
}

/// A table for people: a line a row, columns two spaces apart, those from `numbers_from` on aligned to the right.
pub(super) fn table<R>(
    header: impl IntoIterator<Item = &'static str>,
    rows: impl IntoIterator<Item = R>,
    numbers_from: usize,
) -> String
where
    R: IntoIterator<Item = String>,
{
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled).set_header(header);
    for row in rows {
        table.add_row(row.into_iter().map(|cell| printable(&cell)));
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if index >= numbers_from {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

/// Text without what would steer the terminal, or show it in another order: names come from whoever may report usage.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if steers(c) { c.escape_default().to_string() } else { c.to_string() }).collect()
}

/// Control characters, and those that turn the direction of writing.
fn steers(c: char) -> bool {
    c.is_control() || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// So many things, in words: 1 day, 2,000 days.
pub(super) fn count(number: impl Display, thing: &str) -> String {
    let number = thousands(number);
    let plural = if number == "1" { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails every write in one way.
    struct Broken(ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(self.0.into())
        }
    }

    #[test]
    fn a_name_cannot_steer_the_terminal() {
        let shown = table(["name", "n"], [["\u{1b}[2Jgpt\n".to_owned(), "1".to_owned()]], 1);
        assert!(shown.contains(r"\u{1b}[2Jgpt\n") && !shown.contains('\u{1b}'), "{shown}");
        assert_eq!(printable("\u{202e}1 gpt\u{2069}"), r"\u{202e}1 gpt\u{2069}");
        assert_eq!(printable("naïve 日本 🏳\u{200d}🌈"), "naïve 日本 🏳\u{200d}🌈");
    }

    #[test]
    fn a_reader_who_left_is_no_error_and_a_full_disk_is() {
        let mut left = Output::to(Broken(ErrorKind::BrokenPipe));
        left.line("one").unwrap();
        left.json(&[1]).unwrap();
        left.finish().unwrap();
        let full = Output::to(Broken(ErrorKind::StorageFull)).line("one").unwrap_err();
        assert!(full.to_string().starts_with("the output cannot be written: "));
    }
}
