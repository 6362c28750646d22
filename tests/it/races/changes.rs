//! What hosts do to the source tables: one statement each, all of them about the same few rows.

pub(super) struct Change {
    pub(super) name: &'static str,
    pub(super) sql: &'static str,
}

const fn change(name: &'static str, sql: &'static str) -> Change {
    Change { name, sql }
}

pub(super) const CHANGES: [Change; 19] = [
    change(
        "insert usage",
        "insert into task_usage (task_id, provider, model, event_key, input_tokens, created_at)
         values (the('task 1'), 'claude', 'haiku', gen_random_uuid()::text, 1000, '2026-01-03 00:10:00+00')",
    ),
    change(
        "report usage again",
        "insert into task_usage (task_id, provider, model, input_tokens, created_at)
         values (the('task 1'), 'claude', 'opus', 2000, '2026-01-02 23:59:00+00')
         on conflict (task_id, provider, model, event_key) do update
         set input_tokens = task_usage.input_tokens + excluded.input_tokens, cost_usd_ticks = null",
    ),
    change("correct usage", "update task_usage set model = model || '!', created_at = created_at + '1 day' where task_id = the('task 1')"),
    change("give usage to another task", "update task_usage set task_id = the('task 3') where task_id = the('task 1') and model = 'sonnet'"),
    change("delete usage", "delete from task_usage where task_id = the('task 1') and model = 'opus'"),
    change("move task to another runtime", "update agent_task_queue set runtime_id = the('runtime 2') where id = the('task 1')"),
    change("move task to another agent", "update agent_task_queue set agent_id = the('agent 2') where id = the('task 1')"),
    change("unlink task from its issue", "update agent_task_queue set issue_id = null where id = the('task 1')"),
    change("link a task to the issue", "update agent_task_queue set issue_id = the('issue 1'), runtime_id = the('runtime 1') where id = the('task 2')"),
    change("move agent to another workspace", "update agent set workspace_id = the('workspace 2') where id = the('agent 1')"),
    change("move issue to another project", "update issue set project_id = the('project 2') where id = the('issue 1')"),
    change("delete task", "delete from agent_task_queue where id = the('task 1')"),
    change("delete agent", "delete from agent where id = the('agent 1')"),
    change("delete issue", "delete from issue where id = the('issue 1')"),
    change("delete runtime", "delete from agent_runtime where id = the('runtime 1')"),
    change("delete project", "delete from project where id = the('project 1')"),
    change("delete workspace", "delete from workspace where id = the('workspace 1')"),
    change(
        "write usage and move its task at once",
        "with
           moved as (update agent_task_queue set runtime_id = the('runtime 3'), agent_id = the('agent 2') where id = the('task 1') returning id),
           corrected as (update task_usage set input_tokens = input_tokens + 5 where task_id = the('task 1') and model = 'opus' returning task_id)
         insert into task_usage (task_id, provider, model, event_key, input_tokens)
         select id, 'claude', 'opus', gen_random_uuid()::text, 3 from moved",
    ),
    change(
        "start another task",
        "with task as (
           insert into agent_task_queue (id, agent_id, issue_id, runtime_id)
           values (gen_random_uuid(), the('agent 1'), the('issue 1'), the('runtime 1')) returning id)
         insert into task_usage (task_id, provider, model, input_tokens, created_at)
         select id, 'claude', 'opus', 4000, '2026-01-02 23:59:00+00' from task",
    ),
];

/// What may become of a host's statement when another one gets in its way. It would without us, too.
pub(super) const HOST_CONFLICTS: [&str; 4] = ["40001", "40P01", "23503", "23505"];
