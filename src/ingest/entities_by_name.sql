-- For each wanted (kind, workspace, name), the one that bears the name: one in use before an archived one,
-- then the oldest. Each arm looks only at its own kind.
select wanted.ordinal, found.id, found.runtime_id
from unnest($1::text[], $2::uuid[], $3::text[]) with ordinality as wanted (kind, workspace_id, name, ordinal)
cross join lateral (
  (
    select id, null::uuid as runtime_id
    from public.agent_runtime as runtime
    where wanted.kind = 'runtime' and workspace_id = wanted.workspace_id and name = wanted.name
    order by deleted_at is not null, created_at, id
    limit 1
  )
  union all
  (
    select id, runtime_id
    from public.agent as agent
    where wanted.kind = 'agent' and workspace_id = wanted.workspace_id and name = wanted.name
    order by deleted_at is not null, created_at, id
    limit 1
  )
  union all
  (
    select id, null
    from public.issue as issue
    where wanted.kind = 'issue' and workspace_id = wanted.workspace_id and title = wanted.name
    order by deleted_at is not null, created_at, id
    limit 1
  )
) as found
