-- $1 runtime, $2 first day, $3 last day, $4 viewer. A runtime may serve agents of several workspaces: hence the sums.
select
  u.bucket_date as date,
  u.provider,
  u.model,
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
where u.runtime_id = $1 and u.bucket_date >= $2 and u.bucket_date <= $3 and ($4::uuid is null or u.workspace_id = $4)
group by u.bucket_date, u.provider, u.model
order by u.bucket_date desc, u.provider, u.model
