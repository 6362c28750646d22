-- $1 workspace, $2 first day, $3 last day. Usage of no runtime is a row of its own.
with usage as (
  select
    u.bucket_date as date,
    u.runtime_id,
    sum(u.input_tokens)::text as input_tokens,
    sum(u.output_tokens)::text as output_tokens,
    sum(u.cache_read_tokens)::text as cache_read_tokens,
    sum(u.cache_write_tokens)::text as cache_write_tokens,
    sum(u.cache_write_1h_tokens)::text as cache_write_1h_tokens,
    sum(u.cost_usd_ticks)::text as cost_usd_ticks,
    sum(u.uncosted_input_tokens)::text as uncosted_input_tokens,
    sum(u.uncosted_output_tokens)::text as uncosted_output_tokens,
    sum(u.uncosted_cache_read_tokens)::text as uncosted_cache_read_tokens,
    sum(u.uncosted_cache_write_tokens)::text as uncosted_cache_write_tokens,
    sum(u.uncosted_cache_write_1h_tokens)::text as uncosted_cache_write_1h_tokens,
    sum(u.event_count)::text as event_count
  from tallybook.task_usage_daily_now u
  where u.workspace_id = $1 and u.bucket_date >= $2 and u.bucket_date <= $3
  group by u.bucket_date, u.runtime_id
)
-- the name, where the runtime is this workspace's own: another one's is not for it to see
select usage.*, r.name as runtime_name
from usage
left join public.agent_runtime r on r.id = usage.runtime_id and r.workspace_id = $1
order by usage.date desc, r.name, usage.runtime_id
