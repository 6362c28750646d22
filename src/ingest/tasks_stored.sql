-- Where the given tasks stand now: one index look-up each, whatever the planner thinks of the array, in order of id.
-- They are kept from being deleted until the reports are stored. A purge waits; without this it could hold the task and wait
-- for one of its usage rows, while the transaction that has that row waits for the task. Moves are not held up.
select task.id, task.agent_id, task.runtime_id, task.issue_id, task.workspace_id
from unnest($1::uuid[]) as wanted (id)
cross join lateral (
  select queued.id, queued.agent_id, queued.runtime_id, queued.issue_id, agent.workspace_id
  from public.agent_task_queue as queued
  join public.agent on agent.id = queued.agent_id
  where queued.id = wanted.id
  offset 0
  for key share of queued
) as task
