//! The defects, in the order of the migrations.
use super::Mutation;

const fn mutation(
    defect: &'static str,
    edits: &'static [(&'static str, &'static str)],
    found_by: &'static [&'static str],
) -> Mutation {
    Mutation { defect, edits, found_by }
}

pub(super) const MUTATIONS: &[Mutation] = &[
    // contributions
    mutation(
        "buckets are half hours",
        &[("return pg_catalog.date_bin('15 minutes',", "return pg_catalog.date_bin('30 minutes',")],
        &["r08_"],
    ),
    mutation(
        "infinite times are not clamped",
        &[(
            "greatest(least(coalesce(happened_at, '0001-01-01 00:00+00'), '9999-12-31 23:45+00'::timestamptz), '0001-01-01 00:00+00')",
            "coalesce(happened_at, '0001-01-01 00:00+00')",
        )],
        &["r40_no_name"],
    ),
    mutation(
        "a row without a time has no bucket",
        &[("coalesce(happened_at, '0001-01-01 00:00+00')", "happened_at")],
        &["r40_keys"],
    ),
    mutation(
        "long names enter keys whole",
        &[("pg_catalog.octet_length(name) <= 256", "pg_catalog.octet_length(name) <= 1000000")],
        &["r40_no_name"],
    ),
    mutation(
        "long names that begin alike are one",
        &[("left(name, 40) || '~' || encode(sha256(convert_to(name, 'UTF8')), 'hex')", "left(name, 40) || '~'")],
        &["r40_keys"],
    ),
    mutation(
        "providers keep their case",
        &[("tallybook.name_key(pg_catalog.lower(name collate \"C\") collate \"C\")", "tallybook.name_key(name collate \"C\")")],
        &["r16_"],
    ),
    mutation(
        "NaN is summed",
        &[("measure in ('NaN', 'Infinity', '-Infinity')", "measure in ('Infinity', '-Infinity')")],
        &["r40_keys"],
    ),
    mutation(
        "null counts are not 0",
        &[("format('coalesce(%s.%s, 0)::numeric', row_name, name)", "format('%s.%s::numeric', row_name, name)")],
        &["r40_no_name"],
    ),
    mutation(
        "priced tokens are estimated again",
        &[(
            "image || '.cost_usd_ticks is null), 0) as uncosted_{}'",
            "image || '.cost_usd_ticks is not null), 0) as uncosted_{}'",
        )],
        &["races::writers::two_read_committed"],
    ),
    mutation(
        "tasks without an issue are left out of raw sums",
        &[(
            "        left join public.issue i on i.id = t.issue_id\n      $body$",
            "        join public.issue i on i.id = t.issue_id\n      $body$",
        )],
        &["r14_"],
    ),
    // capture
    mutation("an old task is added, not taken away", &[("old.issue_id, -1)", "old.issue_id, 1)")], &["r11_"]),
    mutation("a new task is taken away", &[("new.issue_id, 1)", "new.issue_id, -1)")], &["r11_"]),
    mutation("an old agent is added, not taken away", &[("old.workspace_id, -1)", "old.workspace_id, 1)")], &["r12_"]),
    mutation("an old issue is added, not taken away", &[("old.project_id, -1)", "old.project_id, 1)")], &["r12_"]),
    mutation(
        "capture does not see a task's new id",
        &[("when (old.id is distinct from new.id or old.runtime_id", "when (old.runtime_id")],
        &["r42_entities"],
    ),
    mutation(
        "capture does not see a task's new runtime",
        &[("old.runtime_id is distinct from new.runtime_id\n    or ", "")],
        &["r11_"],
    ),
    mutation("capture does not see a task's new agent", &[("or old.agent_id is distinct from new.agent_id ", "")], &["r11_"]),
    mutation("capture does not see a task's new issue", &[(" or old.issue_id is distinct from new.issue_id)", ")")], &["r11_"]),
    mutation(
        "capture does not see an agent's new id",
        &[("(old.id is distinct from new.id or old.workspace_id is", "(old.workspace_id is")],
        &["r42_"],
    ),
    mutation(
        "capture does not see an agent's new workspace",
        &[("or old.workspace_id is distinct from new.workspace_id", "")],
        &["r12_"],
    ),
    mutation(
        "capture does not see an issue's new id",
        &[("(old.id is distinct from new.id or old.project_id is", "(old.project_id is")],
        &["r42_"],
    ),
    mutation(
        "capture does not see an issue's new project",
        &[("or old.project_id is distinct from new.project_id", "")],
        &["r12_"],
    ),
    mutation(
        "new tasks are not captured",
        &[(
            "create trigger tallybook_insert after insert on public.agent_task_queue for each row",
            "create trigger tallybook_insert after insert on public.agent_task_queue for each row when (false)",
        )],
        &["r42_"],
    ),
    mutation(
        "deleted tasks are not captured",
        &[(
            "create trigger tallybook_delete after delete on public.agent_task_queue for each row",
            "create trigger tallybook_delete after delete on public.agent_task_queue for each row when (false)",
        )],
        &["r10_"],
    ),
    mutation(
        "new agents are not captured",
        &[(
            "create trigger tallybook_insert after insert on public.agent for each row",
            "create trigger tallybook_insert after insert on public.agent for each row when (false)",
        )],
        &["r42_"],
    ),
    mutation(
        "deleted agents are not captured",
        &[(
            "create trigger tallybook_delete after delete on public.agent for each row",
            "create trigger tallybook_delete after delete on public.agent for each row when (false)",
        )],
        &["r10_"],
    ),
    mutation(
        "new issues are not captured",
        &[(
            "create trigger tallybook_insert after insert on public.issue for each row",
            "create trigger tallybook_insert after insert on public.issue for each row when (false)",
        )],
        &["r42_"],
    ),
    mutation(
        "deleted issues are not captured",
        &[(
            "create trigger tallybook_delete after delete on public.issue for each row",
            "create trigger tallybook_delete after delete on public.issue for each row when (false)",
        )],
        &["r10_", "r34_", "r42_"],
    ),
    mutation(
        "usage may be truncated",
        &[(
            "create trigger tallybook_truncate before truncate on public.task_usage for each statement",
            "create trigger tallybook_truncate before truncate on public.task_usage for each statement when (false)",
        )],
        &["r31_truncate"],
    ),
    mutation(
        "deleted usage counts twice (by statement)",
        &[("select %3$s, %4$s, -1 from old_rows r", "select %3$s, %4$s, 1 from old_rows r")],
        &["r10_"],
    ),
    mutation(
        "deleted usage keeps its tokens (by row and by statement)",
        &[(
            "      tallybook.each('-{}', tallybook.usage_measure_images('r')),",
            "      tallybook.each('{}', tallybook.usage_measure_images('r')),",
        )],
        &["r10_"],
    ),
    mutation(
        "corrected usage is added, not replaced (by statement)",
        &[("union all select -1, %2$s from old_rows r", "union all select 1, %2$s from old_rows r")],
        &["r08_"],
    ),
    mutation(
        "a correction of the price alone is not captured (by statement)",
        &[("having sum(i.sign) <> 0 or sum(i.sign * i.cost_usd_ticks) <> 0 or %6$s", "having sum(i.sign) <> 0 or %6$s")],
        &["r08_"],
    ),
    mutation(
        "a price that comes later leaves the tokens unpriced (by statement)",
        &[("i.happened_at, i.cost_usd_ticks is null", "i.happened_at")],
        &["r08_"],
    ),
    mutation(
        "a correction of the time keeps the old bucket (by row)",
        &[("'model::text collate \"C\"', 'created_at']", "'model::text collate \"C\"']")],
        &["r08_"],
    ),
    mutation(
        "a correction of the model keeps the old bucket (by row)",
        &[("'model::text collate \"C\"', 'created_at']", "'created_at']")],
        &["r08_"],
    ),
    mutation(
        "usage given to another task stays with the old one (by row)",
        &[("array['task_id', 'provider::text", "array['provider::text")],
        &["r08_"],
    ),
    mutation(
        "a price that comes later leaves the tokens unpriced (by row)",
        &[("and (new.%1$s is null) = (old.%1$s is null)", "")],
        &["r08_"],
    ),
    mutation(
        "a correction is taken away, not added (by row)",
        &[("select string_agg(after || ' - ' || before, ', ')", "select string_agg(before || ' - ' || after, ', ')")],
        &["r08_"],
    ),
    mutation("deleted usage counts twice (by row)", &[("select %3$s, %4$s, -1;", "select %3$s, %4$s, 1;")], &["r10_"]),
    mutation(
        "a writer's own names run in capture",
        &[(
            "tallybook.capture_usage() returns trigger\n      language plpgsql security definer set search_path = pg_catalog, pg_temp",
            "tallybook.capture_usage() returns trigger\n      language plpgsql security definer",
        )],
        &["m15_"],
    ),
    mutation(
        "capture needs rights of the writer's",
        &[(
            "tallybook.capture_usage() returns trigger\n      language plpgsql security definer",
            "tallybook.capture_usage() returns trigger\n      language plpgsql",
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
    // pending
    mutation(
        "the mark forgets who was open",
        &[("'{waiting}', '(xid >= low or xid = any (opened))'", "'{waiting}', '(xid >= low)'")],
        &["r01_a_row"],
    ),
    mutation(
        "the mark leaves out who is open",
        &[("array(select pg_snapshot_xip(pg_current_snapshot())) || pg_current_xact_id()", "array[pg_current_xact_id()]")],
        &["r01_"],
    ),
    mutation(
        "the mark leaves out the fold itself",
        &[(
            "array(select pg_snapshot_xip(pg_current_snapshot())) || pg_current_xact_id()",
            "array(select pg_snapshot_xip(pg_current_snapshot()))",
        )],
        &["r01_what"],
    ),
    mutation(
        "the mark skips what began after the fold",
        &[(
            "select coalesce(max(id), 0) + 1, pg_snapshot_xmax(pg_current_snapshot()),",
            "select coalesce(max(id), 0) + 1, (pg_snapshot_xmax(pg_current_snapshot())::text::bigint + 3)::text::xid8,",
        )],
        &["r01_", "r03_"],
    ),
    mutation(
        "a mark of another cluster is trusted",
        &[(
            "case when m.writer = m.xmin then m.floor else '0'::xid8 end, case when m.writer = m.xmin then m.open else '{}'::xid8[] end",
            "m.floor, m.open",
        )],
        &["r32_"],
    ),
    mutation(
        "a change of issues alone is not pending",
        &[(
            "    or exists (select from tallybook.issue_change where xid >= low or xid = any (opened));\nend $$;\ncomment on function tallybook.is_pending",
            ";\nend $$;\ncomment on function tallybook.is_pending",
        )],
        &["r12_"],
    ),
    mutation(
        "an agent's tasks are not moved along",
        &[(
            "union select t.id from (select distinct agent_id from agent_changes) c",
            "union select t.id from (select distinct agent_id from agent_changes where false) c",
        )],
        &["r12_"],
    ),
    mutation(
        "an issue's tasks are not moved along",
        &[(
            "union select t.id from (select distinct issue_id from issue_changes) c",
            "union select t.id from (select distinct issue_id from issue_changes where false) c",
        )],
        &["r12_"],
    ),
    mutation(
        "a task's key then is its key now",
        &[(
            "union all select task_id, agent_id, runtime_id, issue_id, -sign from task_changes) x",
            "union all select task_id, agent_id, runtime_id, issue_id, -sign from task_changes where false) x",
        )],
        &["r11_"],
    ),
    mutation(
        "an agent's workspace then is the one now",
        &[(
            "union all select agent_id, workspace_id, -sign from agent_changes) x",
            "union all select agent_id, workspace_id, -sign from agent_changes where false) x",
        )],
        &["r12_"],
    ),
    mutation(
        "an issue's project then is the one now",
        &[(
            "union all select issue_id, project_id, -sign from issue_changes) x",
            "union all select issue_id, project_id, -sign from issue_changes where false) x",
        )],
        &["r12_"],
    ),
    mutation(
        "a moved task takes usage along that it did not have then",
        &[(
            "union all select 1, c.* from usage_changes c where exists (select from moved m where m.task_id = c.task_id)) d",
            ") d",
        )],
        &["r11_"],
    ),
    mutation(
        "a moved task's changes count twice",
        &[(
            "union all select c.* from usage_changes c where not exists (select from moved m where m.task_id = c.task_id)) d",
            "union all select c.* from usage_changes c) d",
        )],
        &["r11_"],
    ),
    mutation(
        "what a moved task had then is added",
        &[(
            "select -1 as sign, u.* from usage_now u\n          union all select 1, c.*",
            "select 1 as sign, u.* from usage_now u\n          union all select 1, c.*",
        )],
        &["r11_"],
    ),
    mutation(
        "fresh usage without an issue is not pending",
        &[(
            "left join lateral (select project_id from public.issue where id = t.issue_id {lookup}) i on true$$",
            "join lateral (select project_id from public.issue where id = t.issue_id {lookup}) i on true$$",
        )],
        &["r14_", "r11_"],
    ),
    mutation(
        "a task that had no issue is not moved",
        &[(
            "join agent_then a on a.agent_id = t.agent_id\n        left join issue_then i on i.issue_id = t.issue_id)",
            "join agent_then a on a.agent_id = t.agent_id\n        join issue_then i on i.issue_id = t.issue_id)",
        )],
        &["r11_"],
    ),
    mutation(
        "batches fold with agents and issues as they are now",
        &[(
            "replace(sql, '{keyed_now}', case form when 'tasks' then keyed_then else keyed_now end)",
            "replace(sql, '{keyed_now}', keyed_now)",
        )],
        &["r24_batches"],
    ),
    mutation("a rewritten source table is read as empty", &[("relfilenode <> pg_relation_filenode(oid)", "false")], &["r37_"]),
    // fold
    mutation(
        "two folds at once",
        &[("if not pg_try_advisory_xact_lock(tallybook.fold_lock_key()) then", "if false then")],
        &["r25_", "r27_", "r06_"],
    ),
    mutation(
        "a rebuild beside a fold",
        &[(
            "  perform tallybook.wait_for_fold_lock();\n  perform tallybook.lock_sources();\n  select array_agg(name) into names from tallybook.rollup;\n  written",
            "  perform tallybook.lock_sources();\n  select array_agg(name) into names from tallybook.rollup;\n  written",
        )],
        &["r05_"],
    ),
    mutation(
        "a slice of backfill beside a fold",
        &[(
            "  perform tallybook.wait_for_fold_lock();\n  perform tallybook.lock_sources();\n  select max(covered_from) into until",
            "  perform tallybook.lock_sources();\n  select max(covered_from) into until",
        )],
        &["r06_a_fold"],
    ),
    mutation("folds run in triggers", &[("if pg_trigger_depth() > 0 then", "if false then")], &["r39_"]),
    mutation(
        "folds run in transactions that have written",
        &[("elsif pg_current_xact_id_if_assigned() is not null then", "elsif false then")],
        &["r39_"],
    ),
    mutation(
        "folds run in old snapshots",
        &[(
            "elsif current_setting('transaction_isolation') <> 'read committed' then\n    raise exception 'rollups cannot be written in isolation",
            "elsif false then\n    raise exception 'rollups cannot be written in isolation",
        )],
        &["r39_"],
    ),
    mutation(
        "folds run while capture is broken",
        &[(
            "if fault is not null then\n    raise exception 'capture is not intact",
            "if false then\n    raise exception 'capture is not intact",
        )],
        &["r31_a_trigger"],
    ),
    mutation(
        "folds read tables that are being rewritten",
        &[("  lock table public.task_usage, public.agent_task_queue, public.agent, public.issue in access share mode;\n", "")],
        &["r39_"],
    ),
    mutation(
        "the queue is emptied by a second statement",
        &[
            ("    folded_usage as (delete from tallybook.usage_change where xid >= $1 or xid = any ($2)),\n", ""),
            (
                "execute_sums('select * from tallybook.fold_everything($1, $2)', low, opened);\n",
                "execute_sums('select * from tallybook.fold_everything($1, $2)', low, opened);\n      delete from tallybook.usage_change where xid >= low or xid = any (opened);\n",
            ),
        ],
        &["r03_"],
    ),
    mutation(
        "a batch empties the queue of other tasks too",
        &[(
            "folded_usage as (delete from tallybook.usage_change where (xid >= $1 or xid = any ($2)) and task_id in (select unnest($3))),",
            "folded_usage as (delete from tallybook.usage_change where xid >= $1 or xid = any ($2)),",
        )],
        &["r24_", "no_change_is_lost_beside_a_batch"],
    ),
    mutation(
        "a batch leaves its tasks' moves in the queue",
        &[(
            "folded_tasks as (delete from tallybook.task_change where (xid >= $1 or xid = any ($2)) and task_id in (select unnest($3))),",
            "folded_tasks as (select 1),",
        )],
        &["r24_batches"],
    ),
    mutation("a fold sets what it should add", &[("'{} = r.{} + excluded.{}'", "'{} = excluded.{}'")], &["r08_"]),
    mutation(
        "keys whose count alone does not change are not folded",
        &[("      tallybook.each('sum(c.{}) <> 0', tallybook.measures(), ' or '),", "      'sum(c.event_count) <> 0',")],
        &["r08_"],
    ),
    mutation("emptied rows stay", &[("if summed.emptied <> '{}' then", "if false then")], &["r21_"]),
    mutation(
        "each null runtime is a key of its own",
        &[("on tallybook.%1$s (%2$s) nulls not distinct", "on tallybook.%1$s (%2$s)")],
        &["r15_"],
    ),
    mutation(
        "days not covered are folded into",
        &[(
            "        where c.bucket_start >= %7$s and c.bucket_start < %8$s",
            "        where c.bucket_start < %8$s or %7$s is null",
        )],
        &["r41_days"],
    ),
    // rebuild, backfill, views
    mutation(
        "a rebuild adds what is pending",
        &[("tallybook.each('-{}', tallybook.measures())", "tallybook.each('{}', tallybook.measures())")],
        &["r36_", "r05_"],
    ),
    mutation(
        "a rebuild empties the queue",
        &[(
            "  if targets is null then\n    return 0;",
            "  delete from tallybook.usage_change;\n  if targets is null then\n    return 0;",
        )],
        &["r36_", "r05_"],
    ),
    mutation(
        "a rebuild leaves ghost days",
        &[(
            "    execute format('delete from tallybook.%1$I where %2$s >= %3$s and %2$s < %4$s', target.name,",
            "    execute format('delete from tallybook.%1$I where false and %2$s >= %3$s and %2$s < %4$s', target.name,",
        )],
        &["r41_"],
    ),
    mutation(
        "a window leaves out the days of late reports",
        &[("if day < first_day or day >= end_day then", "if false then")],
        &["r41_a_window"],
    ),
    mutation(
        "days are those of the session's time zone",
        &[(
            "when '1 day' then '(' || quarter_hour || ' at time zone ''UTC'')::date'",
            "when '1 day' then '(' || quarter_hour || ')::date'",
        )],
        &["r07_no"],
    ),
    mutation(
        "rebuilt days are those of the session's time zone",
        &[("quote_literal((instant at time zone 'UTC')::date) || '::date'", "quote_literal(instant::date) || '::date'")],
        &["r07_"],
    ),
    mutation(
        "pending counts on days not covered",
        &[(
            "tallybook.is_seen(%1$L) and bucket_start >= (select covered_from from tallybook.rollup where name = %1$L)",
            "tallybook.is_seen(%1$L)",
        )],
        &["m04_"],
    ),
    mutation(
        "covered days are read from raw too",
        &[(
            "from tallybook.contribution() where bucket_start < (select covered_from from tallybook.rollup where name = %L)",
            "from tallybook.contribution() where bucket_start < (select covered_from + interval ''1 day'' from tallybook.rollup where name = %L)",
        )],
        &["m04_"],
    ),
    mutation(
        "a covered view is read in snapshots that are older",
        &[("is distinct from '-infinity'::timestamptz then", "is null then")],
        &["a_reader_keeps", "a_snapshot_older"],
    ),
    mutation(
        "a rollup is empty to older snapshots",
        &[(
            "oid = to_regclass('tallybook.' || rollup_name)) then",
            "oid = to_regclass('tallybook.' || rollup_name)) and false then",
        )],
        &["a_new_rollup", "r37_"],
    ),
];
