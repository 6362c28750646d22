//! Defects in what is pending.
use super::{Mutation, mutation};

pub(super) const MUTATIONS: &[Mutation] = &[
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
        &[("    or exists (select from tallybook.issue_change where xid >= low or xid = any (opened))\n", "")],
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
            "left join lateral (select project_id from tallybook.issue_rows() where id = t.issue_id {lookup}) i on true$$",
            "join lateral (select project_id from tallybook.issue_rows() where id = t.issue_id {lookup}) i on true$$",
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
];
