insert into public.usage_daily
select (u.created_at at time zone 'UTC')::date, a.workspace_id, t.runtime_id, u.provider, u.model, sum(u.input_tokens), sum(u.output_tokens),
  sum(u.cache_read_tokens), sum(u.cache_write_tokens), count(*)
from public.task_usage u
join public.agent_task_queue t on t.id = u.task_id
join public.agent a on a.id = t.agent_id
group by 1, 2, 3, 4, 5
