//! What hosts write: every kind of change of every source table, about a few entities, so that changes meet.
use proptest::prelude::*;
use rand::{Rng, RngExt};

/// How often, under which name, and the statement. `{a}`, `{b}` and `{c}` are numbers; `one('task', {a})` is one of the tasks.
const WRITES: [(u32, &str, &str); 30] = [
    (12, "report", "insert into task_usage (task_id, provider, model, event_key, input_tokens, output_tokens, cost_usd_ticks, created_at)
        values (one('task', {a}), (array['Claude', 'claude', 'openai'])[1 + {b} % 3], 'model ' || {c} % 2, ({b} % 4)::text, {c}, {a}, nullif({c} % 4, 0),
          '2026-01-01 23:40+00'::timestamptz + {c} % 5 * interval '10 minutes')
        on conflict (task_id, provider, model, event_key) do update set input_tokens = excluded.input_tokens, cost_usd_ticks = excluded.cost_usd_ticks"),
    (4, "report a batch", "insert into task_usage (task_id, provider, model, event_key, input_tokens, created_at)
        select one('task', {a} + n), 'claude', 'model ' || n % 2, 'batch', {b} + n, '2026-01-01 12:00+00'::timestamptz + n * interval '9 hours' from generate_series(0, 3) n
        where exists (select from agent_task_queue where id = one('task', {a} + n))
        on conflict (task_id, provider, model, event_key) do update set input_tokens = task_usage.input_tokens + excluded.input_tokens, created_at = excluded.created_at"),
    (2, "merge reports", "merge into task_usage u using (select one('task', {a}) as task_id) s on u.task_id = s.task_id and u.model = 'model 0'
        when matched and u.input_tokens % 2 = 0 then delete
        when matched then update set input_tokens = u.input_tokens + 1
        when not matched then insert (task_id, provider, model, event_key, input_tokens) values (s.task_id, 'claude', 'model 0', 'merged', {b})"),
    (3, "correct keys", "update task_usage set model = 'model ' || {b} % 3, provider = upper(provider), created_at = created_at + ({c} % 3 - 1) * interval '8 hours'
        where task_id = one('task', {a})"),
    (3, "correct measures", "update task_usage set input_tokens = {b}, cache_read_tokens = {c}, cost_usd_ticks = nullif({c} % 3, 0) where task_id in (one('task', {a}), one('task', {b}))"),
    (1, "correct everything", "update task_usage set output_tokens = output_tokens + 1"),
    (2, "give usage to another task", "update task_usage set task_id = one('task', {b}) where task_id = one('task', {a}) and input_tokens % 2 = {c} % 2"),
    (3, "delete usage", "delete from task_usage where task_id = one('task', {a})"),
    (4, "move a task to a runtime", "update agent_task_queue set runtime_id = (select id from agent_runtime where id = one('runtime', {b})) where id = one('task', {a})"),
    (4, "move a task to an agent", "update agent_task_queue set agent_id = one('agent', {b}) where id = one('task', {a})"),
    (4, "move a task to an issue", "update agent_task_queue set issue_id = (select id from issue where id = one('issue', {b})) where id = one('task', {a})"),
    (2, "move many tasks", "update agent_task_queue set runtime_id = one('runtime', {b}) where runtime_id = one('runtime', {a}) or runtime_id is null"),
    (1, "swap agents", "update agent_task_queue set agent_id = case agent_id when one('agent', {a}) then one('agent', {b}) else one('agent', {a}) end
        where agent_id in (one('agent', {a}), one('agent', {b}))"),
    (2, "note a task's status", "update agent_task_queue set status = 'running' where id = one('task', {a})"),
    (2, "delete a task", "delete from agent_task_queue where id = one('task', {a})"),
    (1, "change a task's id", "update agent_task_queue set id = one('task', {b}) where id = one('task', {a})"),
    (3, "move an agent", "update agent set workspace_id = one('workspace', {b}) where id = one('agent', {a})"),
    (1, "change an agent's id", "update agent set id = one('agent', {b}) where id = one('agent', {a})"),
    (1, "delete an agent", "delete from agent where id = one('agent', {a})"),
    (3, "move an issue", "update issue set project_id = (select id from project where id = one('project', {b})) where id = one('issue', {a})"),
    (1, "change an issue's id", "update issue set id = one('issue', {b}) where id = one('issue', {a})"),
    (1, "delete an issue", "delete from issue where id = one('issue', {a})"),
    (1, "delete a runtime", "delete from agent_runtime where id = one('runtime', {a})"),
    (1, "delete a project", "delete from project where id = one('project', {a})"),
    (1, "delete a workspace", "delete from workspace where id = one('workspace', {a})"),
    (3, "write usage and move its task", "with moved as (update agent_task_queue set runtime_id = one('runtime', {b}), agent_id = one('agent', {c}) where id = one('task', {a}) returning id)
        insert into task_usage (task_id, provider, model, event_key, input_tokens) select id, 'claude', 'model 1', 'moved', {b} from moved
        on conflict (task_id, provider, model, event_key) do update set input_tokens = excluded.input_tokens"),
    (2, "correct usage and delete its task", "with corrected as (update task_usage set input_tokens = {b} where task_id = one('task', {a}) returning task_id)
        delete from agent_task_queue where id = one('task', {a})"),
    (2, "move an agent and one of its tasks", "with moved as (update agent set workspace_id = one('workspace', {b}) where id = one('agent', {a}) returning id)
        update agent_task_queue t set issue_id = null from moved where t.agent_id = moved.id and t.id = one('task', {c})"),
    (1, "start a task", "insert into agent_task_queue (id, agent_id, issue_id, runtime_id) values (one('task', {a}), one('agent', {b}), null, one('runtime', {c})) on conflict do nothing"),
    (8, "make what is missing", include_str!("world.sql")),
];

/// A statement.
#[derive(Clone, Debug)]
pub(super) struct Write {
    pub(super) kind: &'static str,
    pub(super) sql: String,
}

impl Write {
    fn new(ticket: u32, numbers: [u8; 3]) -> Self {
        let mut left = ticket % WRITES.iter().map(|(weight, ..)| weight).sum::<u32>();
        let chosen = WRITES.iter().find(|(weight, ..)| {
            let here = left < *weight;
            left = left.saturating_sub(*weight);
            here
        });
        let (_, kind, sql) = chosen.unwrap();
        let sql =
            ["{a}", "{b}", "{c}"].iter().zip(numbers).fold((*sql).to_owned(), |sql, (name, n)| sql.replace(name, &n.to_string()));
        Self { kind, sql }
    }

    pub(super) fn random(rng: &mut impl Rng) -> Self {
        Self::new(rng.random(), rng.random())
    }
}

pub(super) fn write() -> impl Strategy<Value = Write> {
    any::<(u32, [u8; 3])>().prop_map(|(ticket, numbers)| Write::new(ticket, numbers))
}
