-- $1 runtime: its last 30 days by day, provider and model.
select (u.created_at at time zone 'UTC')::date as bucket_date, u.provider, u.model, sum(u.input_tokens)::numeric as input_tokens,
  sum(u.output_tokens)::numeric as output_tokens, sum(u.cache_read_tokens)::numeric as cache_read_tokens,
  sum(u.cache_write_tokens)::numeric as cache_write_tokens, count(*) as event_count
from public.task_usage u
join public.agent_task_queue t on t.id = u.task_id
where t.runtime_id = $1 and u.created_at >= (current_date - 29)::timestamp at time zone 'UTC'
group by 1, 2, 3
order by 1 desc, 2, 3
