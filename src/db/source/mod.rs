//! The source tables as they are: a stand-alone installation's, or those of a database that somebody else has made.
//!
//! Owns what the catalog says of their columns, keys and foreign keys, and how reads ([`shape`]) and writes ([`values`]) fit them. Whoever
//! asks gets it from the pool ([`PgPool::source`](super::pool::PgPool::source)), which reads it once, and again when a statement finds
//! that it is out of date.
//!
//! Invariant: tables that are as our migrations make them are asked and written by the very statements that stand in the `.sql` files.
mod ours;
mod shape;
#[cfg(test)]
mod tests;
mod values;

pub use values::{Unfit, Value, Written};

use super::error::sqlstate;
use sqlx::types::Json;
use sqlx::{FromRow, PgExecutor};
use std::time::{Duration, Instant};

/// How long it is believed of tables that are not as we make them: their owner may give them what was lacking.
const AGE_MAX: Duration = Duration::from_secs(5);

/// A source table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// Tenants.
    Workspace,
    /// Where agents run.
    Runtime,
    /// Who works.
    Agent,
    /// Groups of issues.
    Project,
    /// What is worked on.
    Issue,
    /// Single runs of agents.
    Task,
    /// Raw usage.
    Usage,
}

impl Name {
    /// Every one.
    pub const ALL: [Self; 7] = [Self::Workspace, Self::Runtime, Self::Task, Self::Agent, Self::Project, Self::Issue, Self::Usage];

    /// As SQL names it.
    pub fn sql(self) -> &'static str {
        match self {
            Self::Workspace => "public.workspace",
            Self::Runtime => "public.agent_runtime",
            Self::Agent => "public.agent",
            Self::Project => "public.project",
            Self::Issue => "public.issue",
            Self::Task => "public.agent_task_queue",
            Self::Usage => "public.task_usage",
        }
    }

    fn place(self) -> usize {
        Self::ALL.iter().position(|name| *name == self).unwrap_or_default()
    }
}

/// What the source offers.
#[derive(Clone, Debug)]
pub struct Source {
    tables: Vec<Table>,
    read_at: Instant,
}

/// A source table as the catalog has it.
#[derive(Clone, Debug, FromRow)]
pub struct Table {
    #[sqlx(skip)]
    name: Option<Name>,
    columns: Json<Vec<Column>>,
    keys: Json<Vec<Vec<String>>>,
    foreign_keys: Json<Vec<ForeignKey>>,
    /// Whether it has partitions.
    pub is_partitioned: bool,
    /// Whether it is as our migrations make it.
    #[sqlx(skip)]
    pub is_ours: bool,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the catalog says of each yes or no")]
pub struct Column {
    name: String,
    /// As SQL names it, without its precision or length: a cast to those would cut.
    r#type: String,
    /// The same with them.
    exact_type: String,
    /// Of an enum, its values.
    labels: Vec<String>,
    /// Whether texts that differ at all are two to it.
    pub tells_apart: bool,
    /// Whether it takes no null.
    pub is_not_null: bool,
    has_default: bool,
    /// Whether the database fills it and nobody else may.
    is_computed: bool,
}

/// A foreign key.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
struct ForeignKey {
    columns: Vec<String>,
    parent: String,
    /// As `pg_constraint.confdeltype`.
    on_delete: char,
}

impl Source {
    /// Reads the catalog.
    pub async fn read(on: impl PgExecutor<'_>) -> Result<Self, sqlx::Error> {
        let names: Vec<&str> = Name::ALL.iter().map(|name| name.sql()).collect();
        let mut tables: Vec<Table> = sqlx::query_as(include_str!("catalog.sql")).bind(names).fetch_all(on).await?;
        for (name, table) in Name::ALL.into_iter().zip(&mut tables) {
            table.name = Some(name);
            table.is_ours = ours::made(name, table);
        }
        Ok(Self { tables, read_at: Instant::now() })
    }

    /// One table.
    pub fn table(&self, name: Name) -> &Table {
        &self.tables[name.place()]
    }

    /// Whether every table is as our migrations make it.
    pub fn is_ours(&self) -> bool {
        self.tables.iter().all(|table| table.is_ours)
    }

    /// Whether it should be read again before it is relied on.
    pub fn is_old(&self) -> bool {
        !self.is_ours() && self.read_at.elapsed() > AGE_MAX
    }

    /// Why rows that hang on a row of `name` would stay when that is deleted; none where the foreign keys take them along.
    pub fn would_stay(&self, name: Name) -> Option<String> {
        let hanging = |(parent, child, column, may_lose): &(Name, Name, &str, bool)| {
            if *parent != name {
                return None;
            }
            match self.table(*child).on_delete(column, *parent) {
                Some('c') => self.would_stay(*child),
                Some('n' | 'd') if *may_lose => None,
                _ => Some(format!(
                    "{}.{column} has no foreign key that deletes its rows with those of {}",
                    child.sql(),
                    parent.sql()
                )),
            }
        };
        HANGING.iter().find_map(hanging)
    }
}

/// What hangs on what, by which column, and whether it may stay without it.
const HANGING: [(Name, Name, &str, bool); 8] = [
    (Name::Workspace, Name::Runtime, "workspace_id", false),
    (Name::Workspace, Name::Agent, "workspace_id", false),
    (Name::Workspace, Name::Project, "workspace_id", false),
    (Name::Workspace, Name::Issue, "workspace_id", false),
    (Name::Runtime, Name::Task, "runtime_id", true),
    (Name::Agent, Name::Task, "agent_id", false),
    (Name::Issue, Name::Task, "issue_id", false),
    (Name::Task, Name::Usage, "task_id", false),
];

impl Table {
    /// The column of this name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.0.iter().find(|column| column.name == name)
    }

    /// Whether no two rows agree in all of these columns, and an insert may be told what to do about it.
    pub fn has_key(&self, columns: &[&str]) -> bool {
        self.keys.0.iter().any(|key| key.len() == columns.len() && columns.iter().all(|column| key.iter().any(|k| k == column)))
    }

    fn on_delete(&self, column: &str, parent: Name) -> Option<char> {
        let parent = parent.sql();
        let bare = parent.trim_start_matches("public.");
        let found =
            self.foreign_keys.0.iter().find(|key| key.columns == [column] && (key.parent == parent || key.parent == bare));
        found.map(|key| key.on_delete)
    }
}

impl Column {
    /// Whether a statement may give it a value.
    pub fn is_writable(&self) -> bool {
        !self.is_computed
    }

    /// How it spells `text`: as it is, or as the value of its enum that differs in case alone. None where its enum has none.
    pub fn spelling<'a>(&'a self, text: &'a str) -> Option<&'a str> {
        if self.labels.is_empty() {
            return Some(text);
        }
        let exact = self.labels.iter().find(|label| *label == text);
        exact.or_else(|| self.labels.iter().find(|label| label.eq_ignore_ascii_case(text))).map(String::as_str)
    }
}

/// Whether a statement failed since the source is not as it was.
pub fn is_out_of_date(error: &sqlx::Error) -> bool {
    // undefined_table, undefined_column, invalid_column_reference (no such key), datatype_mismatch, generated_always, not_null_violation,
    // feature_not_supported (a plan whose result has changed)
    let codes = ["42P01", "42703", "42P10", "42804", "428C9", "23502", "0A000"];
    sqlstate(error).is_some_and(|code| codes.contains(&code.as_ref()))
}

/// What the owner of the source tables does not allow, in the database's words: their constraints, their types, their triggers, and columns
/// that are called otherwise or gone.
pub fn refusal(error: &sqlx::Error) -> Option<String> {
    let error = error.as_database_error()?;
    let code = error.code()?;
    // integrity constraints but foreign keys, which are a race; data exceptions; what a trigger raises; undefined_column
    let is_refusal =
        (code.starts_with("23") && code != "23503") || code.starts_with("22") || ["P0001", "42703"].contains(&&*code);
    is_refusal.then(|| error.message().to_owned())
}
