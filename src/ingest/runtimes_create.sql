-- Makes runtimes, in order of id. A row that somebody else has made meanwhile is left alone and not counted.
insert into public.agent_runtime (id, workspace_id, name, created_at)
select id, workspace_id, name, $4
from unnest($1::uuid[], $2::uuid[], $3::text[]) with ordinality as new (id, workspace_id, name, ordinal)
order by ordinal
on conflict (id) do nothing
