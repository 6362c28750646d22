-- How many of the reports that were acknowledged are not there: $1 tasks, $2 reports of each, $3 how their event keys begin.
select count(*)
from unnest($1::uuid[], $2::bigint[]) as client (task_id, acknowledged)
cross join lateral generate_series(0, client.acknowledged - 1) n
where not exists (
  select from public.task_usage u
  where u.task_id = client.task_id and u.provider = 'anthropic' and u.model = 'opus' and u.event_key = $3::text || n)
