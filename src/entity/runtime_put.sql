-- Makes or replaces a runtime. $1 id, $2 viewer, $3 now, $4 workspace, $5 name, $6 provider, $7 labels.
with put as (
  insert into public.agent_runtime as old (id, workspace_id, name, provider, labels, created_at)
  values ($1, $4, $5, $6, $7, $3)
  on conflict (id) do update
  set workspace_id = excluded.workspace_id,
      name = excluded.name,
      provider = excluded.provider,
      labels = excluded.labels,
      deleted_at = null
  where $2::uuid is null or old.workspace_id = $2
  returning *, xmax = 0 as created
)
select e.id, e.workspace_id, e.name, e.provider, e.labels, e.created_at, e.deleted_at as archived_at, e.created
from put e
