-- Workspaces that are not the demo's: $1 its id, $2 its slug.
select count(*) as total, min(format('"%s" (%s)', name, slug)) as example
from public.workspace
where id <> $1 or slug <> $2
