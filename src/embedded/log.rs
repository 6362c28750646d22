//! The server's log: one file, quoted in errors.
use super::Error;
use super::layout::Layout;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

/// A log that has grown beyond this is set aside at the next start, as `postgres.log.1`.
const LOG_BYTES_MAX: u64 = 16 << 20;
/// How much of the log an error quotes.
const QUOTED_LINES_MAX: usize = 15;
const QUOTED_BYTES_MAX: u64 = 16 << 10;

/// The log of one start of the server.
#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    begins_at: u64,
}

impl Log {
    /// Opens the log for a server that is about to start; what it says from now on can be quoted.
    pub(super) fn open(layout: &Layout) -> Result<(Self, File), Error> {
        let path = layout.log();
        if path.metadata().is_ok_and(|metadata| metadata.len() > LOG_BYTES_MAX) {
            fs::rename(&path, path.with_extension("log.1")).map_err(Error::file("set aside", &path))?;
        }
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path).map_err(Error::file("open", &path))?;
        layout.hand_over(&path).map_err(Error::file("hand over", &path))?;
        let begins_at = file.metadata().map_err(Error::file("read", &path))?.len();
        Ok((Self { path, begins_at }, file))
    }

    /// The log of a server that somebody else started.
    pub(super) fn of_running(layout: &Layout) -> Self {
        let path = layout.log();
        let begins_at = path.metadata().map_or(0, |metadata| metadata.len());
        Self { path, begins_at }
    }

    /// The last lines since the start.
    pub(super) fn tail(&self) -> String {
        match self.read() {
            Ok(text) if text.trim().is_empty() => "  (nothing was written to it, as on a full disk)".to_owned(),
            Ok(text) => last_lines(&text, QUOTED_LINES_MAX),
            Err(error) => format!("(cannot be read: {error})"),
        }
    }

    /// The very last line since the start.
    pub(super) fn last_line(&self) -> String {
        self.tail().lines().next_back().unwrap_or_default().to_owned()
    }

    fn read(&self) -> std::io::Result<String> {
        let mut file = File::open(&self.path)?;
        let from = self.begins_at.max(file.metadata()?.len().saturating_sub(QUOTED_BYTES_MAX));
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.take(QUOTED_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// The last `lines_max` lines of `text`, indented to be quoted.
pub(super) fn last_lines(text: &str, lines_max: usize) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(lines_max)..].iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}
