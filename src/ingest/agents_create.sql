-- Makes agents, in order of id, after the runtimes. A row that somebody else has made meanwhile is left alone and not counted.
insert into public.agent (id, workspace_id, name, created_at, runtime_id)
select id, workspace_id, name, $4, runtime_id
from unnest($1::uuid[], $2::uuid[], $3::text[], $5::uuid[]) with ordinality as new (id, workspace_id, name, runtime_id, ordinal)
order by ordinal
on conflict (id) do nothing
