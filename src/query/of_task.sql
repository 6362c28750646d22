-- $1 task, $2 viewer. Raw: there are few rows of one task.
select
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
from tallybook.contribution() u
where u.task_id = $1 and ($2::uuid is null or u.workspace_id = $2)
group by u.provider, u.model
order by u.provider, u.model
