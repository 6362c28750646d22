-- $1 runtime, $2 first instant, $3 first instant after the range, $4 viewer.
with usage as (
  select
    u.agent_id,
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
  from tallybook.task_usage_quarter_hour_now u
  where u.runtime_id = $1 and u.bucket_start >= $2 and u.bucket_start < $3 and ($4::uuid is null or u.workspace_id = $4)
  group by u.agent_id
)
select usage.*, a.name as agent_name, a.labels as agent_labels
from usage
join public.agent a on a.id = usage.agent_id
order by usage.cost_usd_ticks::numeric desc, usage.input_tokens::numeric + usage.output_tokens::numeric desc, usage.agent_id
