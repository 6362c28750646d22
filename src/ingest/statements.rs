//! What ingest asks of the source tables and writes to them, in SQL that fits them, and what they cannot take.
//!
//! Tables that are as our migrations make them are written by the `.sql` files of this module. In a database that somebody else has made,
//! the same statements are made of the columns that there are.
use super::report::{Report, TaskPlace};
use crate::db::source::{Column, Name, Source, Table, Unfit, Value};
use crate::model::id::Kind;
use sqlx::AssertSqlSafe;
use std::borrow::Cow;
use std::sync::Arc;

type Text = Cow<'static, str>;

/// Statements for the source tables as they are.
#[derive(Debug)]
pub(super) struct Statements {
    source: Arc<Source>,
    usage: Usage,
    runtimes: Result<Text, Unfit>,
    agents: Result<Text, Unfit>,
    issues: Result<Text, Unfit>,
    tasks: Result<Text, Unfit>,
}

/// How usage is written.
#[derive(Debug)]
enum Usage {
    /// As it comes.
    Ours,
    /// As the table takes it.
    Adopted { put: Text, kept: Text, is_keyed: bool },
    /// Not at all.
    Unfit(Unfit),
}

/// What a table does not take, and which field says it.
pub(super) struct Refused {
    pub(super) field: &'static str,
    pub(super) why: Unwritable,
}

/// Why it does not.
pub(super) enum Unwritable {
    /// There is no column for it.
    ColumnMissing(String),
    /// There is, and it does not take it.
    NotWritable(String),
}

impl From<Unfit> for Unwritable {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::Lacks { .. } => Self::ColumnMissing(unfit.to_string()),
            _ => Self::NotWritable(unfit.to_string()),
        }
    }
}

impl Statements {
    /// For `source`.
    pub(super) fn of(source: Arc<Source>) -> Self {
        let made = |name, ours: &'static str, rows: &str, values: &[Value]| made(source.table(name), name, ours, rows, values);
        let id = Value::needed("id", "id");
        let (workspace, at) = (Value::needed("workspace_id", "workspace_id"), Value::wanted_time("created_at", "$4"));
        let named = |column| Value::needed(column, "name");
        let runtimes = made(
            Name::Runtime,
            include_str!("runtimes_create.sql"),
            ROWS_NAMED,
            &[id.clone(), workspace.clone(), named("name"), at.clone()],
        );
        let agents = made(
            Name::Agent,
            include_str!("agents_create.sql"),
            ROWS_OF_AGENTS,
            &[id.clone(), workspace.clone(), named("name"), at.clone(), Value::wanted("runtime_id", "runtime_id")],
        );
        let issues =
            made(Name::Issue, include_str!("issues_create.sql"), ROWS_NAMED, &[id.clone(), workspace, named("title"), at]);
        let status = source.table(Name::Task).column("status").filter(|status| status.spelling("running").is_some());
        let mut task = vec![
            id,
            Value::needed("agent_id", "agent_id"),
            Value::needed("runtime_id", "runtime_id"),
            Value::needed("issue_id", "issue_id"),
            Value::wanted_time("created_at", "since"),
            Value::wanted_time("started_at", "since"),
        ];
        task.extend(status.map(|_| Value::wanted("status", "'running'")));
        let tasks = made(Name::Task, include_str!("tasks_create.sql"), ROWS_OF_TASKS, &task);
        let usage = Usage::of(source.table(Name::Usage));
        Self { source, usage, runtimes, agents, issues, tasks }
    }

    /// A question, for the tables as they are.
    pub(super) fn sql(&self, question: &'static str) -> AssertSqlSafe<Text> {
        self.source.sql(question)
    }

    /// Makes runtimes, agents or issues; the plan has made sure that it can be done.
    pub(super) fn make(&self, kind: Kind) -> Option<AssertSqlSafe<Text>> {
        self.making(kind).as_ref().ok().cloned().map(AssertSqlSafe)
    }

    /// Makes tasks; the same.
    pub(super) fn make_tasks(&self) -> Option<AssertSqlSafe<Text>> {
        self.tasks.as_ref().ok().cloned().map(AssertSqlSafe)
    }

    /// Stores usage; the same.
    pub(super) fn put(&self) -> Option<AssertSqlSafe<Text>> {
        match &self.usage {
            Usage::Ours => Some(AssertSqlSafe(include_str!("usage_put.sql").into())),
            Usage::Adopted { put, .. } => Some(AssertSqlSafe(put.clone())),
            Usage::Unfit(_) => None,
        }
    }

    /// Tells stale from unchanged; the same.
    pub(super) fn kept(&self) -> Option<AssertSqlSafe<Text>> {
        match &self.usage {
            Usage::Ours => Some(AssertSqlSafe(include_str!("usage_kept.sql").into())),
            Usage::Adopted { kept, .. } => Some(AssertSqlSafe(kept.clone())),
            Usage::Unfit(_) => None,
        }
    }

    /// How the table spells a provider.
    pub(super) fn provider<'a>(&'a self, report: &'a Report) -> &'a str {
        let provider = report.provider.as_str();
        let column = self.usage_column("provider");
        column.and_then(|column| column.spelling(provider)).unwrap_or(provider)
    }

    fn usage_column(&self, name: &str) -> Option<&Column> {
        self.source.table(Name::Usage).column(name)
    }

    fn making(&self, kind: Kind) -> &Result<Text, Unfit> {
        match kind {
            Kind::Runtime => &self.runtimes,
            Kind::Agent => &self.agents,
            Kind::Issue => &self.issues,
        }
    }

    /// What of `report` the table of usage cannot hold.
    pub(super) fn refuses(&self, report: &Report) -> Option<Refused> {
        let is_keyed = match &self.usage {
            Usage::Ours => return None,
            Usage::Unfit(unfit) => return Some(Refused { field: "", why: unfit.clone().into() }),
            Usage::Adopted { is_keyed, .. } => *is_keyed,
        };
        let missing = |field, column| Refused { field, why: Unfit::Lacks { table: Name::Usage.sql(), column }.into() };
        if !is_keyed && !report.event_key.as_str().is_empty() {
            return Some(missing("event_key", "event_key"));
        }
        if report.sequence.is_some() && !is_sequence(self.usage_column("sequence")) {
            return Some(missing("sequence", "sequence"));
        }
        let cost = self.usage_column("cost_usd_ticks").filter(|column| column.is_writable());
        match (report.cost, cost) {
            (Some(_), None) => return Some(missing("cost_usd", "cost_usd_ticks")),
            (None, Some(column)) if column.is_not_null => {
                let why =
                    "public.task_usage takes no row without a price: send `cost_usd`, or let the column cost_usd_ticks be null";
                return Some(Refused { field: "cost_usd", why: Unwritable::NotWritable(why.to_owned()) });
            }
            _ => {}
        }
        let lost = counts(report).into_iter().find(|(name, count)| *count > 0 && !self.holds(name));
        if let Some((name, _)) = lost {
            return Some(missing(name, name));
        }
        let has_provider = self.usage_column("provider").is_some_and(|c| c.spelling(report.provider.as_str()).is_some());
        let why = "public.task_usage has an enum for providers, which has no such value: add it (`alter type ... add value`)";
        (!has_provider).then(|| Refused { field: "provider", why: Unwritable::NotWritable(why.to_owned()) })
    }

    fn holds(&self, count: &str) -> bool {
        self.usage_column(count).is_some_and(Column::is_writable)
    }

    /// Why one that is missing cannot be made.
    pub(super) fn cannot_make(&self, kind: Kind) -> Option<Unwritable> {
        self.making(kind).as_ref().err().map(|unfit| unfit.clone().into())
    }

    /// Why a new task that names a runtime, an issue, or none of them cannot be made.
    pub(super) fn cannot_make_task(&self, place: &TaskPlace, has_runtime: bool) -> Option<Refused> {
        if let Err(unfit) = &self.tasks {
            return Some(Refused { field: "task", why: unfit.clone().into() });
        }
        let table = self.source.table(Name::Task);
        let needs = |column| table.column(column).is_some_and(|column| column.is_not_null);
        let lacking = match (has_runtime, place.issue.is_some()) {
            (false, _) if needs("runtime_id") => "runtime",
            (_, false) if needs("issue_id") => "issue",
            _ => return None,
        };
        let why = format!("public.agent_task_queue takes no task without its {lacking}: name one");
        let field = if lacking == "runtime" { "task.runtime" } else { "task.issue" };
        Some(Refused { field, why: Unwritable::NotWritable(why) })
    }
}

const ROWS_NAMED: &str = "unnest($1::uuid[], $2::uuid[], $3::text[]) with ordinality as new (id, workspace_id, name, ordinal)";
const ROWS_OF_AGENTS: &str =
    "unnest($1::uuid[], $2::uuid[], $3::text[], $5::uuid[]) with ordinality as new (id, workspace_id, name, runtime_id, ordinal)";
const ROWS_OF_TASKS: &str = "unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::timestamptz[]) \
     with ordinality as new (id, agent_id, runtime_id, issue_id, since, ordinal)";

/// The statement that makes rows of a table.
fn made(table: &Table, name: Name, ours: &'static str, rows: &str, values: &[Value]) -> Result<Text, Unfit> {
    if table.is_ours {
        return Ok(ours.into());
    }
    if table.is_partitioned {
        return Err(Unfit::Partitioned { table: name.sql() });
    }
    if !table.has_key(&["id"]) {
        return Err(Unfit::NoKey { table: name.sql(), columns: "id" });
    }
    let written = table.values(name, values)?;
    let (columns, values): (Vec<_>, Vec<_>) = written.iter().map(|(column, sql)| (*column, sql.as_str())).unzip();
    let (columns, values) = (columns.join(", "), values.join(", "));
    let sql = format!(
        "insert into {} ({columns}) select {values} from {rows} order by ordinal on conflict (id) do nothing",
        name.sql()
    );
    Ok(sql.into())
}

/// The counts of a report, as columns call them.
fn counts(report: &Report) -> [(&'static str, i64); 5] {
    let counts = &report.counts;
    [
        ("input_tokens", counts.input.get()),
        ("output_tokens", counts.output.get()),
        ("cache_read_tokens", counts.cache_read.get()),
        ("cache_write_tokens", counts.cache_write.get()),
        ("cache_write_1h_tokens", counts.cache_write_1h.get()),
    ]
}

/// Whether a column of that name is what we take it for: one that orders reports, where they have an order.
fn is_sequence(column: Option<&Column>) -> bool {
    column.is_some_and(|column| column.is_writable() && !column.is_not_null)
}

const RUNNING_TOTALS: [&str; 3] = ["task_id", "provider", "model"];
const EVENTS: [&str; 4] = ["task_id", "provider", "model", "event_key"];
const MEASURES: [&str; 6] =
    ["input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens", "cost_usd_ticks"];

impl Usage {
    fn of(table: &Table) -> Self {
        if table.is_ours {
            return Self::Ours;
        }
        Self::adopted(table).unwrap_or_else(Self::Unfit)
    }

    fn adopted(table: &Table) -> Result<Self, Unfit> {
        let name = Name::Usage.sql();
        if table.is_partitioned {
            return Err(Unfit::Partitioned { table: name });
        }
        let is_keyed = table.has_key(&EVENTS);
        if !is_keyed && !table.has_key(&RUNNING_TOTALS) {
            let columns = if table.column("event_key").is_some() {
                "task_id, provider, model, event_key"
            } else {
                "task_id, provider, model"
            };
            return Err(Unfit::NoKey { table: name, columns });
        }
        let blurs = |column: &&&'static str| table.column(column).is_some_and(|found| !found.tells_apart);
        if let Some(column) = key(is_keyed).iter().find(blurs) {
            return Err(Unfit::Blurs { table: name, column });
        }
        let (created, is_ordered) = (table.column("created_at"), is_sequence(table.column("sequence")));
        let Some(created) = created.filter(|column| column.is_time()) else {
            return Err(Unfit::Lacks { table: name, column: "created_at" });
        };
        let put = put(table, created, is_keyed, is_ordered)?;
        Ok(Self::Adopted { put: put.into(), kept: kept(table, is_keyed, is_ordered).into(), is_keyed })
    }
}

fn key(is_keyed: bool) -> &'static [&'static str] {
    if is_keyed { &EVENTS } else { &RUNNING_TOTALS }
}

/// `usage_put.sql`, of the columns that there are.
fn put(table: &Table, created: &Column, is_keyed: bool, is_ordered: bool) -> Result<String, Unfit> {
    let identity = |column: &&'static str| Value::needed(column, if *column == "provider" { SPELLING } else { column });
    let mut values: Vec<Value> = key(is_keyed).iter().map(identity).collect();
    values.extend(is_ordered.then_some(Value::wanted("sequence", "sequence")));
    values.extend(MEASURES.iter().map(|column| Value::wanted(column, column)));
    values.push(Value::wanted_time("created_at", "coalesce(occurred_at, $13)"));
    values.push(Value::wanted_time("updated_at", "now()"));
    let written = table.values(Name::Usage, &values)?;
    let measures: Vec<&str> = MEASURES.into_iter().filter(|m| written.iter().any(|(column, _)| column == m)).collect();
    let happened =
        format!("case when excluded.created_at = {} then stored.created_at else excluded.created_at end", created.rounded("$13"));
    let mut new: Vec<(&str, String)> = measures.iter().map(|m| (*m, format!("excluded.{m}"))).collect();
    new.push(("created_at", happened));
    if is_ordered {
        new.push(("sequence", "coalesce(excluded.sequence, stored.sequence)".to_owned()));
    }
    let list = |of: &dyn Fn(&(&str, String)) -> String| new.iter().map(of).collect::<Vec<_>>().join(", ");
    let updated = written.iter().find(|(column, _)| *column == "updated_at").map(|(column, sql)| format!(", {column} = {sql}"));
    let in_order = if is_ordered {
        "(stored.sequence <= excluded.sequence or stored.sequence is null or excluded.sequence is null) and "
    } else {
        ""
    };
    let (columns, given): (Vec<_>, Vec<_>) = written.iter().map(|(column, sql)| (*column, sql.as_str())).unzip();
    let same = same(table, is_keyed);
    Ok(format!(
        "insert into public.task_usage as stored ({}) select {} \
         from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::bigint[], \
           $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::timestamptz[]) \
           with ordinality as report (task_id, provider, model, event_key, sequence, \
           input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, cost_usd_ticks, occurred_at, ordinal) \
         left join lateral (select usage.provider::text as provider from public.task_usage as usage where {same} \
           order by usage.provider::text <> report.provider limit 1) as known on true \
         order by ordinal on conflict ({}) do update set {}{} where {in_order}({}) is distinct from ({}) \
         returning task_id, lower(provider::text collate \"C\"), model::text, {}, xmax = 0 as is_new",
        columns.join(", "),
        given.join(", "),
        key(is_keyed).join(", "),
        list(&|(column, sql)| format!("{column} = {sql}")),
        updated.unwrap_or_default(),
        list(&|(column, _)| format!("stored.{column}")),
        list(&|(_, sql)| sql.clone()),
        if is_keyed { "event_key::text" } else { "''" },
    ))
}

/// The spelling of a provider: that of the host's row of the same identity, if it has one.
const SPELLING: &str = "coalesce(known.provider, report.provider)";

/// Whether `usage` has the identity of `report`, however it spells the provider.
fn same(table: &Table, is_keyed: bool) -> String {
    let same = |column: &&str| match (*column, table.column(column)) {
        ("provider", _) => "lower(usage.provider::text collate \"C\") = lower(report.provider collate \"C\")".to_owned(),
        (_, Some(found)) => format!("usage.{column} = {}", found.cast(&format!("report.{column}"), false)),
        (_, None) => "false".to_owned(),
    };
    key(is_keyed).iter().map(same).collect::<Vec<_>>().join(" and ")
}

/// `usage_kept.sql`, the same.
fn kept(table: &Table, is_keyed: bool, is_ordered: bool) -> String {
    let same = same(table, is_keyed);
    let sequence = if is_ordered { "usage.sequence::bigint" } else { "null::bigint" };
    format!(
        "select report.ordinal, coalesce(stored.sequence > report.sequence, false) as is_stale \
         from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::bigint[]) \
           with ordinality as report (task_id, provider, model, event_key, sequence, ordinal) \
         cross join lateral (select {sequence} as sequence from public.task_usage as usage where {same} offset 0) as stored"
    )
}
