-- Makes tasks, in order of id, after what they refer to. One that somebody else has made meanwhile is left alone and not counted.
-- What reports usage is running.
insert into public.agent_task_queue (id, agent_id, runtime_id, issue_id, created_at, started_at, status)
select id, agent_id, runtime_id, issue_id, since, since, 'running'
from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::timestamptz[])
  with ordinality as new (id, agent_id, runtime_id, issue_id, since, ordinal)
order by ordinal
on conflict (id) do nothing
