//! Lines: one kind of line break, whatever the file has, so that lines can be counted.
use std::io::{self, Read};

/// Reads `\r\n` and `\r` as `\n`, and ends the last line if the file does not.
#[derive(Debug)]
pub(super) struct Lines<R> {
    file: R,
    /// Bytes of the file that have been read.
    bytes_read: u64,
    after_carriage_return: bool,
    after_line_feed: bool,
}

impl<R> Lines<R> {
    pub(super) fn new(file: R) -> Self {
        Self { file, bytes_read: 0, after_carriage_return: false, after_line_feed: true }
    }

    /// How far into the file reading has come.
    pub(super) fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// Rewrites `buffer` in place and says how much of it is left.
    fn rewrite(&mut self, buffer: &mut [u8]) -> usize {
        let mut written = 0;
        for place in 0..buffer.len() {
            let byte = buffer[place];
            let is_second_half = byte == b'\n' && self.after_carriage_return;
            self.after_carriage_return = byte == b'\r';
            if !is_second_half {
                buffer[written] = if byte == b'\r' { b'\n' } else { byte };
                written += 1;
            }
        }
        if written > 0 {
            self.after_line_feed = buffer[written - 1] == b'\n';
        }
        written
    }
}

impl<R: Read> Read for Lines<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let count = self.file.read(buffer)?;
            if count == 0 {
                if self.after_line_feed {
                    return Ok(0);
                }
                self.after_line_feed = true;
                buffer[0] = b'\n';
                return Ok(1);
            }
            self.bytes_read += u64::try_from(count).unwrap_or_default();
            let written = self.rewrite(&mut buffer[..count]);
            if written > 0 {
                return Ok(written);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads `size` bytes at a time.
    fn read(text: &str, size: usize) -> String {
        let mut lines = Lines::new(text.as_bytes());
        let (mut all, mut buffer) = (Vec::new(), vec![0; size]);
        loop {
            match lines.read(&mut buffer).unwrap() {
                0 => break,
                count => all.extend(&buffer[..count]),
            }
        }
        assert_eq!(lines.bytes_read(), u64::try_from(text.len()).unwrap());
        String::from_utf8(all).unwrap()
    }

    #[test]
    fn all_line_breaks_read_alike() {
        for size in 1..9 {
            assert_eq!(read("a\nb\r\nc\rd\r\n\r\ne", size), "a\nb\nc\nd\n\ne\n");
            assert_eq!(read("a\n\r\n", size), "a\n\n");
            assert_eq!(read("", size), "");
        }
    }
}
