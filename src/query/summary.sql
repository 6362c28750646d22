-- $1 workspace or null, $2 first day, $3 last day, $4 runtime or null, $5 to $9 which dimensions to tell apart;
-- one that is not asked for is null in every row.
with
  usage as (
    select
      case when $5 then u.bucket_date end as date,
      case when $6 then u.workspace_id end as workspace_id,
      case when $7 then u.runtime_id end as runtime_id,
      case when $8 then u.provider end as provider,
      case when $9 then u.model end as model,
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
    where u.bucket_date between $2 and $3
      and ($1::uuid is null or u.workspace_id = $1)
      and ($4::uuid is null or u.runtime_id = $4)
    group by 1, 2, 3, 4, 5)
select usage.*, workspace.name as workspace_name, runtime.name as runtime_name
from usage
-- names are for people: usage stays when they are gone
left join public.workspace workspace on workspace.id = usage.workspace_id
left join public.agent_runtime runtime on runtime.id = usage.runtime_id
order by date desc, workspace_name, workspace_id, runtime_name, runtime_id, provider, model
