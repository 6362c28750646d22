-- Makes or replaces a workspace. $1 id, $2 viewer, $3 now, $4 name, $5 slug or null, $6 slug made of the name, $7 labels.
with put as (
  insert into public.workspace as old (id, name, slug, labels, created_at)
  values ($1, $4, coalesce($5, $6), $7, $3)
  on conflict (id) do update
  set name = excluded.name,
      slug = coalesce($5, old.slug),
      labels = excluded.labels,
      deleted_at = null
  where $2::uuid is null or old.id = $2
  returning *, xmax = 0 as created
)
select e.id, e.name, e.slug, e.labels, e.created_at, e.deleted_at as archived_at, e.created
from put e
