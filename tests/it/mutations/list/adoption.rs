//! Defects in what follows adopted tables.
use super::{Mutation, mutation};

pub(super) const MUTATIONS: &[Mutation] = &[
    mutation(
        "times without zone are those of the session",
        &[
            ("return pg_catalog.timezone('UTC', happened_at);", "return happened_at::timestamptz;"),
            (
                "create function tallybook.utc(happened_at timestamp) returns timestamptz\n  language sql immutable",
                "create function tallybook.utc(happened_at timestamp) returns timestamptz\n  language sql stable",
            ),
        ],
        &["adoption::r07_"],
    ),
    mutation(
        "a column that was renamed is looked for by its old name alone",
        &[("or (attrelid = c.relation and attnum = c.number))", ")")],
        &["adoption::ddl::m11_a_rename_that"],
    ),
    mutation(
        "only the first transaction that misses changes says so",
        &[("where b.xid = pg_current_xact_id() and b.source = broken_source", "where b.source = broken_source")],
        &["adoption::ddl::m11_a_renamed_column"],
    ),
    mutation(
        "what was not captured is shown as if it had been",
        &[("if exists (select from tallybook.capture_break) and (select covered_from", "if false and (select covered_from")],
        &["adoption::ddl::m11_a_renamed_column"],
    ),
    mutation(
        "what was not captured stays covered",
        &[("  perform tallybook.uncover();\n  return true;", "  return true;")],
        &["adoption::ddl::m11_a_renamed_column"],
    ),
    mutation(
        "a column that is counted from now on is not counted in history",
        &[("  if is_read_anew then", "  if false then")],
        &["adoption::ddl::m11_a_dropped_column"],
    ),
    mutation(
        "a table that was rewritten is not verified anew",
        &[(
            "array_agg(source order by source) filter (\n    where s.file is not null or",
            "array_agg(source order by source) filter (\n    where",
        )],
        &["adoption::ddl::m11_retyped", "adoption::ddl::m13_"],
    ),
    mutation("partitions may be truncated", &[("where level > 0 loop", "where level > 9 loop")], &["adoption::ddl::m13_"]),
    mutation(
        "what logical replication applies is not captured",
        &[("  if tallybook.is_replicated(target) then", "  if false then")],
        &["adoption::replication::"],
    ),
    mutation(
        "adopted usage under its old key is added, not taken away (by row)",
        &[(
            "tallybook.each('was.{}', key) || ', ' || tallybook.each('operator(pg_catalog.-) was.{}', measures)",
            "tallybook.each('was.{}', key || measures)",
        )],
        &["adoption::the_form"],
    ),
    mutation(
        "sealing knows an adopted task by the name that its id had",
        &[("task_id constant text := tallybook.column_of('t', 'agent_task_queue', 'id');", "task_id constant text := 't.id';")],
        &["renamed_columns_are_sealed"],
    ),
    mutation(
        "a partition that retention detaches seems to have gone with rows",
        &[(
            "delete from tallybook.source_file f\n    where f.source = partition::text or f.source in",
            "delete from tallybook.source_file f\n    where false and f.source in",
        )],
        &["partitions_that_were_sealed_go"],
    ),
];
