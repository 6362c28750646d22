//! Finds the columns that were asked for in the header of a file.
use super::options::{Options, Origin};
use crate::import::Error;
use crate::model::{Model, Provider};
use ::csv::ByteRecord;

/// Where in a record everything is.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) time: Column,
    pub(super) input: Column,
    pub(super) output: Column,
    pub(super) cache_read: Option<Column>,
    pub(super) cache_write: Option<Column>,
    pub(super) cost: Option<Column>,
    pub(super) model: Field<Model>,
    pub(super) provider: Field<Provider>,
    pub(super) task: Option<Column>,
    pub(super) key: Option<Column>,
    /// Fields that a record has.
    pub(super) width: usize,
}

/// A column, with its name in the header.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) place: usize,
    pub(super) name: String,
}

/// In a column, or always the same.
#[derive(Debug)]
pub(super) enum Field<T> {
    Column(Column),
    Constant(T),
}

impl Layout {
    pub(super) fn new(header: &ByteRecord, options: &Options) -> Result<Self, Error> {
        let names: Vec<String> = header.iter().map(|name| String::from_utf8_lossy(name).trim().to_owned()).collect();
        let find = |wanted: &String| find(&names, wanted);
        let optional = |wanted: &Option<String>| wanted.as_ref().map(find).transpose();
        let columns = &options.columns;
        Ok(Self {
            time: find(&columns.time)?,
            input: find(&columns.input)?,
            output: find(&columns.output)?,
            cache_read: optional(&columns.cache_read)?,
            cache_write: optional(&columns.cache_write)?,
            cost: optional(&columns.cost)?,
            model: field(&names, &columns.model, "the model's name", Model::parse)?,
            provider: field(&names, &columns.provider, "the provider's name", Provider::parse)?,
            task: optional(&columns.task)?,
            key: optional(&columns.key)?,
            width: names.len(),
        })
    }
}

/// The column that is called so; if there is none, the one that is in other letters.
fn find(names: &[String], wanted: &str) -> Result<Column, Error> {
    let exact = |name: &&String| name.as_str() == wanted.trim();
    let alike = |name: &&String| name.to_lowercase() == wanted.trim().to_lowercase();
    let count = names.iter().filter(exact).count();
    let found: Vec<usize> = if count > 0 { places(names, exact) } else { places(names, alike) };
    match found[..] {
        [place] => Ok(Column { place, name: names[place].clone() }),
        [] => Err(Error::Column { found: "no", wanted: wanted.to_owned(), available: names.to_vec() }),
        _ => Err(Error::Column { found: "more than one", wanted: wanted.to_owned(), available: names.to_vec() }),
    }
}

fn places(names: &[String], is_wanted: impl Fn(&&String) -> bool) -> Vec<usize> {
    names.iter().enumerate().filter(|(_, name)| is_wanted(name)).map(|(place, _)| place).collect()
}

fn field<T>(
    names: &[String],
    origin: &Origin,
    what: &'static str,
    parse: impl Fn(&str) -> Result<T, crate::model::text::Error>,
) -> Result<Field<T>, Error> {
    match origin {
        Origin::Column(wanted) => find(names, wanted).map(Field::Column),
        Origin::Constant(text) => {
            parse(text).map(Field::Constant).map_err(|error| Error::Option { what, reason: error.to_string() })
        }
    }
}
