//! Entities in tables that somebody else has made: a body is written where a row fits; labels and archive marks stand beside.
use super::{Entity, Put};
use crate::db::source::{Source, Table, Unfit, Value};
use sqlx::AssertSqlSafe;
use std::borrow::Cow;

/// A statement for the tables as they are.
pub(super) type Sql = AssertSqlSafe<Cow<'static, str>>;

/// Makes or replaces one, as `E::SQL.put` does, or says why the table does not take it.
pub(super) fn put<E: Entity>(source: &Source, body: &E::Body) -> Result<Sql, Unfit> {
    let table = source.table(E::TABLE);
    if table.is_ours {
        return Ok(AssertSqlSafe(E::SQL.put.into()));
    }
    let name = E::TABLE.sql();
    if table.is_partitioned {
        return Err(Unfit::Partitioned { table: name });
    }
    if !table.has_key(&["id"]) {
        return Err(Unfit::NoKey { table: name, columns: "id" });
    }
    let written = table.values(E::TABLE, &values::<E>(table, body))?;
    let (columns, given): (Vec<&str>, Vec<&str>) = written.iter().map(|(column, sql)| (*column, sql.as_str())).unzip();
    let sets: Vec<String> = columns.iter().filter(|column| **column != "id").filter_map(|c| set::<E>(table, body, c)).collect();
    let own = source.sql(E::SQL.own).0;
    let put = format!(
        "put as (insert into {name} as old ({}) values ({}) on conflict (id) do update set {} where $2::uuid is null or {own} \
         returning *, xmax = 0 as created)",
        columns.join(", "),
        given.join(", "),
        sets.join(", ")
    );
    let mark = format!(
        "mark as (insert into tallybook.entity_mark (kind, id, labels) select '{}', put.id, {} from put \
         on conflict (kind, id) do update set labels = excluded.labels, archived_at = null returning *)",
        E::ONE,
        E::LABELS
    );
    let shown = source.show(E::SQL.shown, E::TABLE, "put", "mark");
    let sql = if table.keeps_marks() { format!("with {put} {shown}") } else { format!("with {put}, {mark} {shown}") };
    Ok(AssertSqlSafe(sql.into()))
}

fn values<E: Entity>(table: &Table, body: &E::Body) -> Vec<Value> {
    let said = E::VALUES.iter().map(|put| put.value.clone().needed_if(!E::leaves_out(body, put.value.column())));
    let mut values: Vec<Value> = [Value::needed("id", "$1")].into_iter().chain(said).collect();
    if !E::VALUES.iter().any(|put| put.value.column() == "created_at") {
        values.push(Value::wanted_time("created_at", "$3"));
    }
    if table.keeps_marks() {
        values.push(Value::needed("labels", E::LABELS));
    }
    values
}

/// What becomes of a column of a row that is there.
fn set<E: Entity>(table: &Table, body: &E::Body, column: &str) -> Option<String> {
    let put: Option<&Put> = E::VALUES.iter().find(|put| put.value.column() == column);
    match put {
        Some(_) if column == "created_at" && E::leaves_out(body, column) => None,
        Some(Put { replaced: Some(sql), .. }) => Some(format!("{column} = {sql}")),
        Some(_) => Some(format!("{column} = excluded.{column}")),
        None if column == "labels" => Some("labels = excluded.labels, deleted_at = null".to_owned()),
        None if column == "updated_at" => {
            let now = table.column(column).map(|found| found.cast("now()", true))?;
            Some(format!("{column} = {now}"))
        }
        // When it was made stays.
        None => None,
    }
}

/// Marks one as archived: `$1`, now `$2`.
pub(super) fn archive<E: Entity>(source: &Source) -> Sql {
    if source.table(E::TABLE).keeps_marks() {
        return AssertSqlSafe(E::SQL.archive.into());
    }
    let sql = format!(
        "insert into tallybook.entity_mark as old (kind, id, archived_at) values ('{}', $1, $2) \
         on conflict (kind, id) do update set archived_at = coalesce(old.archived_at, excluded.archived_at)",
        E::ONE
    );
    AssertSqlSafe(sql.into())
}
