//! Defects in the capture of changes.
use super::{Mutation, mutation};

pub(super) const MUTATIONS: &[Mutation] = &[
    mutation(
        "an old task, agent or issue is added, not taken away",
        &[("values (%4$s, -1), (%5$s, 1);", "values (%4$s, 1), (%5$s, 1);")],
        &["r11_"],
    ),
    mutation(
        "a moved task, agent or issue is taken away where it comes to",
        &[("values (%4$s, -1), (%5$s, 1);", "values (%4$s, -1), (%5$s, -1);")],
        &["r11_"],
    ),
    mutation("a new task, agent or issue is taken away", &[("sign) values (%5$s, 1);", "sign) values (%5$s, -1);")], &["r42_"]),
    mutation(
        "a deleted task, agent or issue is added (by statement)",
        &[("sign) select %6$s, -1 from old_rows r;", "sign) select %6$s, 1 from old_rows r;")],
        &["r10_"],
    ),
    mutation(
        "a deleted task, agent or issue is added (by row)",
        &[("sign) values (%4$s, -1);", "sign) values (%4$s, 1);")],
        &["m13_partitions"],
    ),
    mutation(
        "partitions lose rows that no trigger sees",
        &[("c.relkind = 'p' or tallybook.is_replicated(c.oid)", "tallybook.is_replicated(c.oid)")],
        &["m13_partitions"],
    ),
    mutation(
        "replicated deletions are not seen",
        &[("c.relkind = 'p' or tallybook.is_replicated(c.oid) or", "c.relkind = 'p' or")],
        &["m13_what_logical"],
    ),
    mutation(
        "capture does not see a task's new id",
        &[("'old.{id} is distinct from new.{id} or old.{runtime_id}", "'old.{runtime_id}")],
        &["r42_entities"],
    ),
    mutation(
        "capture does not see a task's new runtime",
        &[("old.{runtime_id} is distinct from new.{runtime_id}\n      or ", "")],
        &["r11_"],
    ),
    mutation("capture does not see a task's new agent", &[("or old.{agent_id} is distinct from new.{agent_id} ", "")], &["r11_"]),
    mutation("capture does not see a task's new issue", &[(" or old.{issue_id} is distinct from new.{issue_id}", "")], &["r11_"]),
    mutation(
        "capture does not see an agent's new id",
        &[("'old.{id} is distinct from new.{id} or old.{workspace_id} is", "'old.{workspace_id} is")],
        &["r42_"],
    ),
    mutation(
        "capture does not see an agent's new workspace",
        &[("or old.{workspace_id} is distinct from new.{workspace_id}", "")],
        &["r12_"],
    ),
    mutation(
        "capture does not see an issue's new id",
        &[("'old.{id} is distinct from new.{id} or old.{project_id} is", "'old.{project_id} is")],
        &["r42_"],
    ),
    mutation(
        "capture does not see an issue's new project",
        &[("or old.{project_id} is distinct from new.{project_id}", "")],
        &["r12_"],
    ),
    mutation(
        "new usage is not captured",
        &[(
            "case when event = 'update' and condition is not null then 'when (' || (",
            "case when event = 'insert' and source = 'task_usage' then 'when (false)' when event = 'update' and condition is not null then 'when (' || (",
        )],
        &["r42_"],
    ),
    mutation(
        "corrected usage is not captured",
        &[(
            "case when event = 'update' and condition is not null then 'when (' || (",
            "case when event = 'update' and source = 'task_usage' then 'when (false)' when event = 'update' and condition is not null then 'when (' || (",
        )],
        &["r08_"],
    ),
    mutation(
        "new tasks are not captured",
        &[(
            "case when event = 'update' and condition is not null then 'when (' || (",
            "case when event = 'insert' and source = 'agent_task_queue' then 'when (false)' when event = 'update' and condition is not null then 'when (' || (",
        )],
        &["r42_"],
    ),
    mutation(
        "deleted tasks are not captured",
        &[(
            "case when event = 'update' and condition is not null then 'when (' || (",
            "case when event = 'delete' and source = 'agent_task_queue' then 'when (false)' when event = 'update' and condition is not null then 'when (' || (",
        )],
        &["r10_"],
    ),
    mutation(
        "new agents are not captured",
        &[(
            "case when event = 'update' and condition is not null then 'when (' || (",
            "case when event = 'insert' and source = 'agent' then 'when (false)' when event = 'update' and condition is not null then 'when (' || (",
        )],
        &["r42_"],
    ),
    mutation(
        "deleted agents are not captured",
        &[(
            "case when event = 'update' and condition is not null then 'when (' || (",
            "case when event = 'delete' and source = 'agent' then 'when (false)' when event = 'update' and condition is not null then 'when (' || (",
        )],
        &["r10_"],
    ),
    mutation(
        "new issues are not captured",
        &[(
            "case when event = 'update' and condition is not null then 'when (' || (",
            "case when event = 'insert' and source = 'issue' then 'when (false)' when event = 'update' and condition is not null then 'when (' || (",
        )],
        &["r42_"],
    ),
    mutation(
        "deleted issues are not captured",
        &[(
            "case when event = 'update' and condition is not null then 'when (' || (",
            "case when event = 'delete' and source = 'issue' then 'when (false)' when event = 'update' and condition is not null then 'when (' || (",
        )],
        &["r10_", "r34_", "r42_"],
    ),
    mutation(
        "usage may be truncated",
        &[(
            "for each statement execute function tallybook.refuse_truncate()', target);",
            "for each statement when (false) execute function tallybook.refuse_truncate()', target);",
        )],
        &["r31_truncate"],
    ),
    mutation("deleted usage counts twice", &[("('delete', 'old', -1)", "('delete', 'old', 1)")], &["r10_"]),
    mutation(
        "a table that has become a partition is folded though its triggers miss rows",
        &[("where t.tgtype & 1 = 0 and tallybook.needs_rows(source) or", "where")],
        &["m13_nothing"],
    ),
    mutation(
        "a table that a subscription fills is folded though its triggers do not fire",
        &[("or t.tgenabled <> 'A' and tallybook.is_replicated(t.tgrelid)\n", "\n")],
        &["m13_what_logical"],
    ),
    mutation(
        "deleted usage keeps its tokens",
        &[("case sign when 1 then '{}' else 'operator(pg_catalog.-) {}' end", "'{}'")],
        &["r10_"],
    ),
    mutation(
        "corrected usage is added, not replaced (by statement)",
        &[("union all select -1, %2$s, %4$s from old_rows r", "union all select 1, %2$s, %4$s from old_rows r")],
        &["r08_"],
    ),
    mutation(
        "a correction of the price alone is not captured (by statement)",
        &[(
            "string_agg(total || ' operator(pg_catalog.<>) 0', ' or '))",
            "string_agg(total || ' operator(pg_catalog.<>) 0', ' or ') filter (where name <> 'cost_usd_ticks'))",
        )],
        &["r08_"],
    ),
    mutation(
        "a price that comes later leaves the tokens unpriced (by statement)",
        &[("i.happened_at, i.cost_usd_ticks is null", "i.happened_at")],
        &["r08_"],
    ),
    mutation(
        "a correction of the time keeps the old bucket (by row)",
        &[(
            "'model::pg_catalog.text collate pg_catalog.\"C\"', 'created_at']",
            "'model::pg_catalog.text collate pg_catalog.\"C\"']",
        )],
        &["r08_"],
    ),
    mutation(
        "a correction of the model keeps the old bucket (by row)",
        &[("'model::pg_catalog.text collate pg_catalog.\"C\"', 'created_at']", "'created_at']")],
        &["r08_"],
    ),
    mutation(
        "usage given to another task stays with the old one (by row)",
        &[("array['task_id', 'provider::pg_catalog.text", "array['provider::pg_catalog.text")],
        &["r08_"],
    ),
    mutation(
        "a price that comes later leaves the tokens unpriced (by row)",
        &[("and (new.%1$s is null) operator(pg_catalog.=) (old.%1$s is null)", "")],
        &["r08_"],
    ),
    mutation(
        "a correction is taken away, not added (by row)",
        &[(
            "string_agg(after || ' operator(pg_catalog.-) ' || before, ', ')",
            "string_agg(before || ' operator(pg_catalog.-) ' || after, ', ')",
        )],
        &["r08_"],
    ),
    mutation(
        "usage under its old key is added, not taken away (by row)",
        &[("tallybook.signed_usage_image('old', -1),", "tallybook.signed_usage_image('old', 1),")],
        &["r08_"],
    ),
    mutation(
        "each correction takes away 1 too many (by statement)",
        &[(
            "(pg_catalog.sum(i.%s) operator(pg_catalog.+) pg_catalog.count(*) filter (where i.sign operator(pg_catalog.<) 0))",
            "pg_catalog.sum(i.%s)",
        )],
        &["r08_"],
    ),
    mutation(
        "the smallest count stops who corrects it (by statement)",
        &[
            (
                "case when is_integer then '-1 operator(pg_catalog.-) ' else",
                "case when is_integer then 'operator(pg_catalog.-) ' else",
            ),
            (
                "(pg_catalog.sum(i.%s) operator(pg_catalog.+) pg_catalog.count(*) filter (where i.sign operator(pg_catalog.<) 0))",
                "pg_catalog.sum(i.%s)",
            ),
        ],
        &["r22_"],
    ),
    mutation(
        "a writer's own operator runs in the capture of usage (by row)",
        &[("'new.{} operator(pg_catalog.=) old.{}'", "'new.{} = old.{}'")],
        &["m15_"],
    ),
    mutation(
        "a writer's own aggregate runs in the capture of usage (by statement)",
        &[("having pg_catalog.sum(i.sign)", "having sum(i.sign)")],
        &["m15_"],
    ),
    mutation(
        "a writer's own type is taken in the capture of usage",
        &[("%s::pg_catalog.text collate pg_catalog.\"C\" as provider", "%s::text collate pg_catalog.\"C\" as provider")],
        &["m15_"],
    ),
    mutation(
        "a writer's own operator runs in the capture of tasks",
        &[(
            "if tg_op operator(pg_catalog.=) 'UPDATE' then\n          insert into tallybook.%2$s",
            "if tg_op = 'UPDATE' then\n          insert into tallybook.%2$s",
        )],
        &["m15_"],
    ),
    mutation(
        "capture needs rights of the writer's",
        &[(
            "capture_usage_%1$s() returns trigger\n        language plpgsql security definer as",
            "capture_usage_%1$s() returns trigger\n        language plpgsql as",
        )],
        &["m15_"],
    ),
    mutation(
        "a publication of all tables stops folds",
        &[(
            "alter table tallybook.%s replica identity full', queue)",
            "alter table tallybook.%s replica identity default', queue)",
        )],
        &["m16_"],
    ),
    mutation(
        "the database's locale lowers providers",
        &[("pg_catalog.lower(name collate \"C\")", "pg_catalog.lower(name collate \"default\")")],
        &["m14_"],
    ),
];
