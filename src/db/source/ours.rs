//! The source tables as our migrations make them.
use super::{Column, Name, Table};

const UUID: &str = "uuid";
const TEXT: &str = "text";
const COUNT: &str = "bigint";
const TIME: &str = "timestamp with time zone";
const LABELS: &str = "jsonb";

/// What a row always has: whether it takes no null, and whether it has a default.
#[derive(Clone, Copy)]
enum Filled {
    /// Not null, by who writes.
    Given,
    /// Not null, by its default.
    Default,
    /// It may be null.
    Maybe,
}
use Filled::{Default, Given, Maybe};

type Declared = (&'static str, &'static str, Filled);

const ID: Declared = ("id", UUID, Default);
/// Where a table has both, labels and archive marks are its own.
const MARKS: [Declared; 2] = [("labels", LABELS, Default), ("deleted_at", TIME, Maybe)];
const CREATED: Declared = ("created_at", TIME, Default);
const WORKSPACE: Declared = ("workspace_id", UUID, Given);
const RUNTIME: Declared = ("runtime_id", UUID, Maybe);

/// The columns that are a table's alone.
fn columns(name: Name) -> &'static [Declared] {
    match name {
        Name::Workspace => &[("name", TEXT, Given), ("slug", TEXT, Given)],
        Name::Runtime => &[WORKSPACE, ("name", TEXT, Given), ("provider", TEXT, Default)],
        Name::Agent => &[WORKSPACE, ("name", TEXT, Given), RUNTIME],
        Name::Project => &[WORKSPACE, ("title", TEXT, Given)],
        Name::Issue => &[WORKSPACE, ("title", TEXT, Given), ("project_id", UUID, Maybe)],
        Name::Task => &[
            ("agent_id", UUID, Given),
            ("issue_id", UUID, Maybe),
            RUNTIME,
            ("status", TEXT, Default),
            ("failure_reason", TEXT, Maybe),
            ("started_at", TIME, Maybe),
            ("completed_at", TIME, Maybe),
        ],
        Name::Usage => &[
            ("task_id", UUID, Given),
            ("provider", TEXT, Given),
            ("model", TEXT, Given),
            ("event_key", TEXT, Default),
            ("sequence", COUNT, Maybe),
            ("input_tokens", COUNT, Default),
            ("output_tokens", COUNT, Default),
            ("cache_read_tokens", COUNT, Default),
            ("cache_write_tokens", COUNT, Default),
            ("cache_write_1h_tokens", COUNT, Default),
            ("cost_usd_ticks", COUNT, Maybe),
            ("updated_at", TIME, Default),
        ],
    }
}

/// Whether our statements for `table` can be used as they stand.
pub(super) fn made(name: Name, table: &Table) -> bool {
    let own = columns(name);
    let has_all = own.iter().chain(&[ID, CREATED]).all(|declared| has(table, declared));
    let needs_no_more = table.columns.0.iter().all(|c| !c.is_not_null || c.has_default || own.iter().any(|(o, ..)| *o == c.name));
    let is_keyed = match name {
        Name::Usage => table.has_key(&["task_id", "provider", "model", "event_key"]),
        _ => table.has_key(&["id"]) && keeps_marks(table),
    };
    let tells_apart = table.columns.0.iter().all(|column| column.tells_apart);
    has_all && needs_no_more && is_keyed && tells_apart && !table.is_partitioned
}

/// Whether labels and archive marks of its rows are in the table itself.
pub(super) fn keeps_marks(table: &Table) -> bool {
    MARKS.iter().all(|declared| has(table, declared))
}

fn has(table: &Table, (name, r#type, filled): &Declared) -> bool {
    let fits = |column: &Column| match filled {
        Given => column.is_not_null,
        Default => column.is_not_null && column.has_default,
        Maybe => !column.is_not_null,
    };
    table.column(name).is_some_and(|column| column.exact_type == *r#type && column.is_writable() && fits(column))
}
