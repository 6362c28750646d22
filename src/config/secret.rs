//! Secrets that lie in files, as orchestrators mount them: read whole, never told.
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Size of such a file: a secret is a line.
const BYTES_MAX: u64 = 64 * 1024;

/// Why a secret cannot be had. No message says anything of what the file holds.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("the file {} ({option}) cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The option that names it.
        option: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// The file holds something else.
    #[error("the file {} ({option}) {wrong}; it must hold the secret and nothing else", path.display())]
    Unfit {
        /// The file.
        path: PathBuf,
        /// The option that names it.
        option: &'static str,
        /// What is wrong with it.
        wrong: &'static str,
    },
}

/// The secret in the file at `path`, which `option` names: its text, without the end of its line.
pub fn read(path: &Path, option: &'static str) -> Result<String, Error> {
    let unreadable = |source| Error::Unreadable { path: path.to_owned(), option, source };
    let unfit = |wrong| Error::Unfit { path: path.to_owned(), option, wrong };
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(BYTES_MAX + 1).read_to_end(&mut bytes)).map_err(unreadable)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > BYTES_MAX) {
        return Err(unfit("is longer than any secret"));
    }
    let text = String::from_utf8(bytes).map_err(|_| unfit("is not UTF-8 text"))?;
    let line = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    match line {
        "" => Err(unfit("is empty")),
        line if line.contains('\n') => Err(unfit("has several lines")),
        line => Ok(line.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_a_line_whose_end_is_not_part_of_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        let told = |content: &[u8]| {
            std::fs::write(&path, content).unwrap();
            read(&path, "--x").map_err(|error| error.to_string())
        };
        for content in ["hunter2", "hunter2\n", "hunter2\r\n"] {
            assert_eq!(told(content.as_bytes()).unwrap(), "hunter2", "{content:?}");
        }
        assert_eq!(told(b" a b \n").unwrap(), " a b ", "blanks are part of it");
        for (content, wrong) in [
            (b"".to_vec(), "is empty"),
            (b"\n".to_vec(), "is empty"),
            (b"hunter2\nmore\n".to_vec(), "has several lines"),
            (b"hunter2\xff".to_vec(), "is not UTF-8"),
            (vec![b'x'; 70_000], "is longer"),
        ] {
            let told = told(&content).unwrap_err();
            assert!(told.contains(wrong) && told.contains("--x") && !told.contains("hunter2"), "{told}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let directory = tempfile::tempdir().unwrap();
        for path in [directory.path().join("none"), directory.path().to_owned()] {
            let told = read(&path, "--x").unwrap_err().to_string();
            assert!(told.contains(path.to_str().unwrap()), "{told}");
        }
    }
}
