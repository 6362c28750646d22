-- Moves tasks to where their reports say they are, in order of id; one that is there already is not written.
-- The rows are locked in that order first: an update alone would take them in the order of its plan.
with moved as materialized (
  select new.id, new.agent_id, new.runtime_id, new.issue_id
  from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[]) with ordinality as new (id, agent_id, runtime_id, issue_id, ordinal)
  cross join lateral (select from public.agent_task_queue as task where task.id = new.id for no key update offset 0) as locked
  order by new.ordinal
)
update public.agent_task_queue as task
set
  agent_id = coalesce(moved.agent_id, task.agent_id),
  runtime_id = coalesce(moved.runtime_id, task.runtime_id),
  issue_id = coalesce(moved.issue_id, task.issue_id)
from moved
where task.id = moved.id
  and (moved.agent_id <> task.agent_id
    or (moved.runtime_id is not null and moved.runtime_id is distinct from task.runtime_id)
    or (moved.issue_id is not null and moved.issue_id is distinct from task.issue_id))
