select (u.created_at at time zone 'UTC')::date as bucket_date, a.workspace_id, t.runtime_id, u.provider collate "C" as provider, u.model collate "C" as model,
  sum(u.input_tokens) as input_tokens, sum(u.output_tokens) as output_tokens, sum(u.cache_read_tokens) as cache_read_tokens,
  sum(u.cache_write_tokens) as cache_write_tokens, count(*) as event_count
from public.task_usage u
join public.agent_task_queue t on t.id = u.task_id
join public.agent a on a.id = t.agent_id
group by 1, 2, 3, 4, 5
