//! Records of bounded size: a quote that is never closed would make one record of the rest of the file.
//!
//! It follows the text just closely enough to know where records begin and end. What is in them is read elsewhere, by the same
//! rules: a quote opens a field only as its first character, and two of them inside a quoted field are one.
use super::lines::Lines;
use std::io::{self, Read};

/// Bytes of a record, its quotes and its line break included.
pub(super) const RECORD_BYTES_MAX: usize = 1024 * 1024;
/// May stand before everything else, and is no part of it.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A record has more than [`RECORD_BYTES_MAX`] bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the record that begins on line {line} has more than {RECORD_BYTES_MAX} bytes")]
pub(super) struct RecordTooLong {
    /// The line, from 1, on which it begins.
    pub(super) line: u64,
}

/// Reads on as long as records are short enough.
#[derive(Debug)]
pub(super) struct Bounded<R> {
    lines: Lines<R>,
    delimiter: u8,
    at: At,
    /// Bytes of the byte order mark that have come.
    mark_bytes: usize,
    /// The line that the next byte is on.
    line: u64,
    record: Record,
}

/// The record that is being read.
#[derive(Clone, Copy, Debug, Default)]
struct Record {
    line: u64,
    bytes: usize,
}

/// What the next byte follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// The end of a record, or of a blank line.
    RecordStart,
    /// A delimiter.
    FieldStart,
    /// A part of a field without quotes, or what comes after those.
    Field,
    /// A part of a quoted field.
    Quoted,
    /// A quote inside a quoted field: its end, or the first of two.
    Quote,
}

impl At {
    fn after(self, byte: u8, delimiter: u8) -> Self {
        match (self, byte) {
            (Self::Quoted, b'"') => Self::Quote,
            (Self::Quoted, _) | (Self::Quote | Self::RecordStart | Self::FieldStart, b'"') => Self::Quoted,
            (_, b'\n') => Self::RecordStart,
            (_, byte) if byte == delimiter => Self::FieldStart,
            _ => Self::Field,
        }
    }
}

impl<R> Bounded<R> {
    pub(super) fn new(lines: Lines<R>, delimiter: u8) -> Self {
        Self { lines, delimiter, at: At::RecordStart, mark_bytes: 0, line: 1, record: Record::default() }
    }

    /// How far into the file reading has come.
    pub(super) fn bytes_read(&self) -> u64 {
        self.lines.bytes_read()
    }

    fn follow(&mut self, byte: u8) -> Result<(), RecordTooLong> {
        if self.line == 1 && BYTE_ORDER_MARK.get(self.mark_bytes) == Some(&byte) && self.record.bytes == 0 {
            self.mark_bytes += 1;
            return Ok(());
        }
        if self.at == At::RecordStart {
            self.record = Record { line: self.line, bytes: 0 };
        }
        self.at = self.at.after(byte, self.delimiter);
        self.line += u64::from(byte == b'\n');
        self.record.bytes += 1;
        if self.record.bytes > RECORD_BYTES_MAX { Err(RecordTooLong { line: self.record.line }) } else { Ok(()) }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.lines.read(buffer)?;
        buffer[..count].iter().try_for_each(|byte| self.follow(*byte)).map_err(io::Error::other)?;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The lines on which records begin, as this follows them.
    fn starts(text: &str) -> Vec<u64> {
        let mut bounded = Bounded::new(Lines::new(io::empty()), b',');
        let mut starts = Vec::new();
        for byte in text.bytes() {
            let (before, line) = (bounded.at, bounded.line);
            bounded.follow(byte).unwrap();
            if before == At::RecordStart && bounded.at != At::RecordStart {
                starts.push(line);
            }
        }
        starts
    }

    /// The same, as the CSV reader finds them: by the fields of each record, all else being line breaks.
    fn records(text: &str) -> usize {
        let mut reader = ::csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
        reader.byte_records().map(Result::unwrap).count()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

        #[test]
        fn records_end_where_the_csv_reader_ends_them(mark: bool, text in "[a\", \n]{0,40}") {
            let text = format!("{}{text}", if mark { "\u{feff}" } else { "" });
            prop_assert_eq!(starts(&text).len(), records(&text), "{:?}", text);
        }
    }

    #[test]
    fn a_record_begins_after_blank_lines_and_goes_on_in_quotes() {
        assert_eq!(starts("a,b\n\n\"c\n\"\"d\n\",e\nf\"g\nh"), [1, 3, 6, 7]);
        assert_eq!(starts("\u{feff}\"a\nb\"\nc"), [1, 3]);
    }

    #[test]
    fn the_longest_record_is_read_and_a_longer_one_is_not() {
        let read = |text: String| io::copy(&mut Bounded::new(Lines::new(text.as_bytes()), b','), &mut io::sink());
        let longest = "x".repeat(RECORD_BYTES_MAX - 1);
        assert!(read(format!("{longest}\n{longest}\n")).is_ok());
        let error = read(format!("a\n\n\"{longest}\n")).unwrap_err().downcast::<RecordTooLong>().unwrap();
        assert_eq!(error, RecordTooLong { line: 3 });
    }
}
