-- Makes or replaces a project. $1 id, $2 viewer, $3 now, $4 workspace, $5 title, $6 labels.
with put as (
  insert into public.project as old (id, workspace_id, title, labels, created_at)
  values ($1, $4, $5, $6, $3)
  on conflict (id) do update
  set workspace_id = excluded.workspace_id,
      title = excluded.title,
      labels = excluded.labels,
      deleted_at = null
  where $2::uuid is null or old.workspace_id = $2
  returning *, xmax = 0 as created
)
select e.id, e.workspace_id, e.title, e.labels, e.created_at, e.deleted_at as archived_at, e.created
from put e
