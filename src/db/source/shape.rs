//! Reads of source tables that are not as we make them: in the place of the table stands a query with the columns that our statements name.
//!
//! The planner takes such a query apart, so that filters reach the table's indexes. Labels and archive marks come from
//! `tallybook.entity_mark` where the table has no columns for them.
use super::ours::keeps_marks;
use super::{Column, Name, Source, Table};
use sqlx::AssertSqlSafe;
use std::borrow::Cow;

/// How a column is read.
#[derive(Clone, Copy)]
enum As {
    /// An id; null where the table has none.
    Id,
    /// Text, with what stands for it where there is none.
    Text(&'static str),
    /// Text or null.
    MaybeText,
    /// A time, or null where there is none that can be told.
    Time,
}

/// What people call a thing that has no name.
const ITS_ID: As = As::Text("r.id::text");
const NOTHING: As = As::Text("''");

type Reads = &'static [(&'static str, As)];

fn columns(name: Name) -> Reads {
    match name {
        Name::Workspace => &[("name", ITS_ID), ("slug", ITS_ID)],
        Name::Runtime => &[("workspace_id", As::Id), ("name", ITS_ID), ("provider", NOTHING)],
        Name::Agent => &[("workspace_id", As::Id), ("name", ITS_ID), ("runtime_id", As::Id)],
        Name::Project => &[("workspace_id", As::Id), ("title", ITS_ID)],
        Name::Issue => &[("workspace_id", As::Id), ("title", ITS_ID), ("project_id", As::Id)],
        Name::Task => &[
            ("agent_id", As::Id),
            ("issue_id", As::Id),
            ("runtime_id", As::Id),
            ("status", NOTHING),
            ("failure_reason", As::MaybeText),
            ("started_at", As::Time),
            ("completed_at", As::Time),
        ],
        Name::Usage => &[],
    }
}

impl Source {
    /// `question`, which gives each source table an alias, as it can be asked of these tables.
    pub fn sql(&self, question: &'static str) -> AssertSqlSafe<Cow<'static, str>> {
        let mut sql = Cow::Borrowed(question);
        for name in Name::ALL {
            let table = self.table(name);
            if name != Name::Usage && !table.is_ours {
                sql = replace_name(&sql, name.sql(), &table.rows(name)).into();
            }
        }
        AssertSqlSafe(sql)
    }

    /// The same where the rows of one table are those that a part of the statement has just written, and their marks, too. They say whether
    /// they are new.
    pub fn show(&self, question: &'static str, of: Name, written: &str, marks: &str) -> String {
        let rows = self.table(of).rows_of(of, &format!("{written} r"), marks).replacen(" from ", ", r.created from ", 1);
        let mut sql = replace_name(question, of.sql(), &format!("({rows})"));
        for name in Name::ALL.into_iter().filter(|name| *name != of && *name != Name::Usage && !self.table(*name).is_ours) {
            sql = replace_name(&sql, name.sql(), &self.table(name).rows(name));
        }
        sql
    }
}

impl Table {
    /// Whether labels and archive marks of its rows are in the table itself.
    pub fn keeps_marks(&self) -> bool {
        keeps_marks(self)
    }

    /// A query for the rows of the table with the columns that we know.
    fn rows(&self, name: Name) -> String {
        if self.columns.0.is_empty() {
            return format!("({} where false)", self.rows_of(name, "(select null::uuid as id) r", "tallybook.entity_mark"));
        }
        format!("({})", self.rows_of(name, &format!("{} r", name.sql()), "tallybook.entity_mark"))
    }

    /// The same of `rows`, which have the alias `r`, with the marks that stand in `marks`.
    fn rows_of(&self, name: Name, rows: &str, marks: &str) -> String {
        let known = columns(name).iter().chain(&[("created_at", As::Time)]);
        let own: Vec<String> = known.map(|(column, r#as)| format!("{} as {column}", self.read(column, *r#as))).collect();
        let own = own.join(", ");
        if keeps_marks(self) {
            return format!("select r.id, {own}, r.labels, r.deleted_at from {rows}");
        }
        format!(
            "select r.id, {own}, coalesce(m.labels, '{{}}') as labels, m.archived_at as deleted_at from {rows} \
             left join {marks} m on m.kind = '{}' and m.id = r.id",
            kind(name)
        )
    }

    fn read(&self, column: &str, r#as: As) -> String {
        let found = self.column(column);
        match (r#as, found) {
            (As::Id, Some(_)) => format!("r.{column}"),
            (As::Id, None) => "null::uuid".to_owned(),
            (As::Text(_), Some(Column { is_not_null: true, .. })) | (As::MaybeText, Some(_)) => format!("r.{column}::text"),
            (As::Text(other), Some(_)) => format!("coalesce(r.{column}::text, {other})"),
            (As::Text(other), None) => other.to_owned(),
            (As::MaybeText, None) => "null::text".to_owned(),
            (As::Time, Some(found)) if found.is_time() => {
                let instant = found.instant(&format!("r.{column}"));
                format!("case when isfinite(r.{column}) then {instant} end")
            }
            (As::Time, _) => "null::timestamptz".to_owned(),
        }
    }
}

/// What `tallybook.entity_mark` calls rows of the table.
fn kind(name: Name) -> &'static str {
    match name {
        Name::Workspace => "workspace",
        Name::Runtime => "runtime",
        Name::Agent => "agent",
        Name::Project => "project",
        Name::Issue => "issue",
        Name::Task | Name::Usage => "task",
    }
}

/// Puts `by` in the place of `name`, not of names that begin with it.
fn replace_name(sql: &str, name: &str, by: &str) -> String {
    let mut parts = sql.split(name);
    let mut replaced = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let goes_on = part.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
        replaced.push_str(if goes_on { name } else { by });
        replaced.push_str(part);
    }
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_replaced_and_not_one_that_begins_with_it() {
        let sql = "select from public.agent a join public.agent_runtime r on true join public.agent";
        assert_eq!(replace_name(sql, "public.agent", "(x)"), "select from (x) a join public.agent_runtime r on true join (x)");
    }
}
