//! Writes to source tables that are not as we make them: each value in the column's own type, and a word on what does not fit.
use super::{Column, Name, Table};

/// A value that is to be written.
#[derive(Clone, Debug)]
pub struct Value {
    column: &'static str,
    sql: &'static str,
    is_time: bool,
    is_needed: bool,
}

/// A column, and the value that a table of its kind takes for it.
pub type Written = (&'static str, String);

impl Value {
    /// A value that must not be lost.
    pub const fn needed(column: &'static str, sql: &'static str) -> Self {
        Self { column, sql, is_time: false, is_needed: true }
    }

    /// A value that is written where the table has a column for it.
    pub const fn wanted(column: &'static str, sql: &'static str) -> Self {
        Self { is_needed: false, ..Self::needed(column, sql) }
    }

    /// The same of a time.
    pub const fn wanted_time(column: &'static str, sql: &'static str) -> Self {
        Self { is_time: true, ..Self::wanted(column, sql) }
    }

    /// Of which column it is.
    pub fn column(&self) -> &'static str {
        self.column
    }

    /// The same, needed or not.
    #[must_use]
    pub fn needed_if(mut self, is_needed: bool) -> Self {
        self.is_needed = is_needed;
        self
    }
}

/// Why a table that somebody else has made cannot take a row of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It has no column for what is said.
    #[error(
        "{table}, which Tallybook did not make, has no column {column} that it could write: add one, or leave out what it would hold"
    )]
    Lacks {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
    },
    /// It has columns that take no null, have no default, and mean nothing to us.
    #[error(
        "{table}, which Tallybook did not make, has columns that only its own application can fill ({columns}: not null, without a default): \
         give them defaults, or write through the application"
    )]
    CannotFill {
        /// The table.
        table: &'static str,
        /// The columns.
        columns: String,
    },
    /// Two rows may have the same identity.
    #[error(
        "{table}, which Tallybook did not make, has no unique key on ({columns}), by which what is sent again is known: create one \
         (`create unique index concurrently`), or write through the application"
    )]
    NoKey {
        /// The table.
        table: &'static str,
        /// The columns of the key that it needs.
        columns: &'static str,
    },
    /// It takes some texts that differ for one.
    #[error(
        "{table}, which Tallybook did not make, takes texts of its column {column} for one that differ (citext, or a collation that is not \
         deterministic), and usage is told apart by it: write through the application"
    )]
    Blurs {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
    },
    /// It has partitions, and a row that is written to one does not say whether it is new.
    #[error("{table}, which Tallybook did not make, has partitions, which it does not write to: write through the application")]
    Partitioned {
        /// The table.
        table: &'static str,
    },
}

impl Table {
    /// Each column that an insert of `values` names, with its value.
    pub fn values(&self, name: Name, values: &[Value]) -> Result<Vec<Written>, Unfit> {
        let table = name.sql();
        let mut written = Vec::new();
        for value in values {
            match self.column(value.column).filter(|column| column.takes(value)) {
                Some(column) => written.push((value.column, column.cast(value.sql, value.is_time))),
                None if value.is_needed => return Err(Unfit::Lacks { table, column: value.column }),
                None => {}
            }
        }
        let left = |column: &&Column| {
            column.is_not_null
                && !column.has_default
                && !column.is_computed
                && written.iter().all(|(name, _)| *name != column.name)
        };
        let mut unknown = Vec::new();
        let mut known = Vec::new();
        for column in self.columns.0.iter().filter(left) {
            match column.name.as_str() {
                "id" if column.r#type == "uuid" => known.push(("id", "gen_random_uuid()".to_owned())),
                "created_at" if column.is_time() => known.push(("created_at", column.cast("now()", true))),
                "updated_at" if column.is_time() => known.push(("updated_at", column.cast("now()", true))),
                _ => unknown.push(column.name.as_str()),
            }
        }
        if !unknown.is_empty() {
            return Err(Unfit::CannotFill { table, columns: unknown.join(", ") });
        }
        written.extend(known);
        Ok(written)
    }
}

impl Column {
    fn takes(&self, value: &Value) -> bool {
        self.is_writable() && (!value.is_time || self.is_time())
    }

    /// Whether it holds times.
    pub fn is_time(&self) -> bool {
        self.r#type.starts_with("timestamp")
    }

    /// The instant that it holds: one without a zone is of UTC.
    pub fn instant(&self, sql: &str) -> String {
        if self.r#type.ends_with("without time zone") { format!("{sql} at time zone 'UTC'") } else { sql.to_owned() }
    }

    /// A value of ours in its type.
    pub fn cast(&self, sql: &str, is_time: bool) -> String {
        if is_time && self.r#type.ends_with("without time zone") {
            return format!("({sql}) at time zone 'UTC'");
        }
        format!("({sql})::{}", self.r#type)
    }

    /// A time of ours as the column would hold it, with no more than its precision.
    pub fn rounded(&self, sql: &str) -> String {
        format!("({})::{}", self.cast(sql, true), self.exact_type)
    }
}
