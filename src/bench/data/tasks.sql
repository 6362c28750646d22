-- $1 tasks of the 180 days before $2, in the order of time, twenty to an issue. The runtime's number is 200 to the power of something
-- drawn evenly: the first has an eighth of all tasks, the 18th a hundredth, the last a few in ten thousand. The same seed, the same fleet.
insert into public.agent_task_queue (id, agent_id, issue_id, runtime_id, status, created_at, started_at, completed_at)
select md5('task ' || n)::uuid, md5('agent ' || runtime * 5 + (hashint8extended(n, 2) & 1023) % 5)::uuid, md5('issue ' || n / 20)::uuid,
  md5('runtime ' || runtime)::uuid, 'completed', at, at, at + interval '10 minutes'
from generate_series(0, $1::bigint - 1) n
cross join lateral (
  select floor(200 ^ ((hashint8extended(n, 1) & 1048575) / 1048576.0::double precision))::bigint - 1 as runtime,
    $2::timestamptz - ($1::bigint - n) * (interval '180 days' / $1::bigint) as at) drawn
