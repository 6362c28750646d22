-- Makes or replaces a task. $1 id, $2 viewer, $3 now, $4 agent, $5 issue, $6 runtime, $7 status, $8 failure reason,
-- $9 labels, $10 created at or null, $11 started at, $12 completed at.
with put as (
  insert into public.agent_task_queue as old
    (id, agent_id, issue_id, runtime_id, status, failure_reason, labels, created_at, started_at, completed_at)
  values ($1, $4, $5, $6, $7, $8, $9, coalesce($10, $3), $11, $12)
  on conflict (id) do update
  set agent_id = excluded.agent_id,
      issue_id = excluded.issue_id,
      runtime_id = excluded.runtime_id,
      status = excluded.status,
      failure_reason = excluded.failure_reason,
      labels = excluded.labels,
      created_at = coalesce($10, old.created_at),
      started_at = excluded.started_at,
      completed_at = excluded.completed_at,
      deleted_at = null
  where $2::uuid is null or exists (select from public.agent own where own.id = old.agent_id and own.workspace_id = $2)
  returning *, xmax = 0 as created
)
select e.id, a.workspace_id, e.agent_id, e.issue_id, e.runtime_id, e.status, e.failure_reason, e.labels, e.created_at,
  e.started_at, e.completed_at, e.deleted_at as archived_at, e.created
from put e
join public.agent a on a.id = e.agent_id
