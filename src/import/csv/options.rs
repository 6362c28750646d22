//! What to read from a file, and where it goes.
use crate::import::Error;
use crate::model::Name;
use jiff::tz::TimeZone;
use std::convert::Infallible;
use std::path::PathBuf;
use std::str::FromStr;

/// Longest name of a source: it is part of each event key.
const SOURCE_BYTES_MAX: usize = 150;

/// What to read from a file, and where it goes.
#[derive(Clone, Debug)]
pub struct Options {
    /// The file.
    pub path: PathBuf,
    /// What the file is known as, so that it is the same one when it is imported again; its name without extension by default.
    pub source: Option<Name>,
    /// The workspace to import into; the source's name by default.
    pub workspace: Option<Name>,
    /// Where the tasks ran; the source's name by default.
    pub runtime: Option<Name>,
    /// Who worked on them; the source's name by default.
    pub agent: Option<Name>,
    /// Which columns to read.
    pub columns: Columns,
    /// Whether a bad line ends the import.
    pub on_bad: OnBad,
    /// The zone of times that name none.
    pub zone: TimeZone,
    /// What separates the fields.
    pub delimiter: u8,
}

/// Names of columns.
#[derive(Clone, Debug)]
pub struct Columns {
    /// When it happened.
    pub time: String,
    /// Input tokens.
    pub input: String,
    /// Output tokens.
    pub output: String,
    /// Input tokens read from a cache.
    pub cache_read: Option<String>,
    /// Input tokens written to a cache.
    pub cache_write: Option<String>,
    /// The provider's price in USD; an empty cell is no price.
    pub cost: Option<String>,
    /// The model.
    pub model: Origin,
    /// Who served it.
    pub provider: Origin,
    /// The task.
    pub task: Option<String>,
    /// What tells records apart.
    pub key: Option<String>,
}

/// Where a text comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A column of that name.
    Column(String),
    /// Always this.
    Constant(String),
}

/// `=name` is a constant, anything else the name of a column.
impl FromStr for Origin {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let constant = text.strip_prefix('=').map(|constant| Self::Constant(constant.to_owned()));
        Ok(constant.unwrap_or_else(|| Self::Column(text.to_owned())))
    }
}

/// What becomes of a bad line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum OnBad {
    /// It ends the import; what came before is stored.
    #[default]
    Fail,
    /// It is reported and left out.
    Skip,
}

impl Options {
    /// What the file is known as.
    pub(super) fn source(&self) -> Result<Name, Error> {
        let what = "the source's name";
        let source =
            self.source.clone().map_or_else(|| Name::parse(&self.path.file_stem().unwrap_or_default().to_string_lossy()), Ok);
        let source = source.map_err(|error| Error::Option { what, reason: format!("{error}: give one with --source") })?;
        if source.as_str().len() > SOURCE_BYTES_MAX {
            let reason = format!("must have at most {SOURCE_BYTES_MAX} bytes: give another one with --source");
            return Err(Error::Option { what, reason });
        }
        Ok(source)
    }
}
