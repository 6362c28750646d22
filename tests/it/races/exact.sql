-- How many keys differ between the now-views and sums of the raw rows and of what is sealed, written by hand; and, where it is asked for, how many the product's own
-- verify finds in the same snapshot, of every rollup there is.
with
  -- each raw row, and what is sealed, with all that is summed
  usage as (
    select (u.created_at at time zone 'UTC')::date as bucket_date, date_bin('15 minutes', u.created_at, '2000-01-01 00:00+00') as bucket_start,
      a.workspace_id, t.runtime_id, t.agent_id, i.project_id, lower(u.provider) collate "C" as provider, u.model collate "C" as model,
      u.input_tokens, u.output_tokens, u.cache_read_tokens, u.cache_write_tokens, u.cache_write_1h_tokens,
      coalesce(u.cost_usd_ticks, 0) as cost_usd_ticks,
      case when u.cost_usd_ticks is null then u.input_tokens else 0 end as uncosted_input_tokens,
      case when u.cost_usd_ticks is null then u.output_tokens else 0 end as uncosted_output_tokens,
      case when u.cost_usd_ticks is null then u.cache_read_tokens else 0 end as uncosted_cache_read_tokens,
      case when u.cost_usd_ticks is null then u.cache_write_tokens else 0 end as uncosted_cache_write_tokens,
      case when u.cost_usd_ticks is null then u.cache_write_1h_tokens else 0 end as uncosted_cache_write_1h_tokens, 1 as event_count
    from task_usage u
    join agent_task_queue t on t.id = u.task_id
    join agent a on a.id = t.agent_id
    left join issue i on i.id = t.issue_id
    union all
    select (bucket_start at time zone 'UTC')::date, bucket_start, workspace_id, runtime_id, agent_id, project_id, provider, model,
      input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, cost_usd_ticks, uncosted_input_tokens,
      uncosted_output_tokens, uncosted_cache_read_tokens, uncosted_cache_write_tokens, uncosted_cache_write_1h_tokens, event_count
    from tallybook.sealed_usage),
  raw_daily as (
    select bucket_date, workspace_id, runtime_id, provider, model,
      sum(input_tokens) as input_tokens, sum(output_tokens) as output_tokens, sum(cache_read_tokens) as cache_read_tokens,
      sum(cache_write_tokens) as cache_write_tokens, sum(cache_write_1h_tokens) as cache_write_1h_tokens, sum(cost_usd_ticks) as cost_usd_ticks,
      sum(uncosted_input_tokens) as uncosted_input_tokens, sum(uncosted_output_tokens) as uncosted_output_tokens,
      sum(uncosted_cache_read_tokens) as uncosted_cache_read_tokens, sum(uncosted_cache_write_tokens) as uncosted_cache_write_tokens,
      sum(uncosted_cache_write_1h_tokens) as uncosted_cache_write_1h_tokens, sum(event_count) as event_count
    from usage group by bucket_date, workspace_id, runtime_id, provider, model),
  raw_quarter_hour as (
    select bucket_start, workspace_id, runtime_id, agent_id, project_id, provider, model,
      sum(input_tokens) as input_tokens, sum(output_tokens) as output_tokens, sum(cache_read_tokens) as cache_read_tokens,
      sum(cache_write_tokens) as cache_write_tokens, sum(cache_write_1h_tokens) as cache_write_1h_tokens, sum(cost_usd_ticks) as cost_usd_ticks,
      sum(uncosted_input_tokens) as uncosted_input_tokens, sum(uncosted_output_tokens) as uncosted_output_tokens,
      sum(uncosted_cache_read_tokens) as uncosted_cache_read_tokens, sum(uncosted_cache_write_tokens) as uncosted_cache_write_tokens,
      sum(uncosted_cache_write_1h_tokens) as uncosted_cache_write_1h_tokens, sum(event_count) as event_count
    from usage group by bucket_start, workspace_id, runtime_id, agent_id, project_id, provider, model),
  shown_daily as (
    select bucket_date, workspace_id, runtime_id, provider, model, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens,
      cache_write_1h_tokens, cost_usd_ticks, uncosted_input_tokens, uncosted_output_tokens, uncosted_cache_read_tokens,
      uncosted_cache_write_tokens, uncosted_cache_write_1h_tokens, event_count
    from tallybook.task_usage_daily_now),
  shown_quarter_hour as (
    select bucket_start, workspace_id, runtime_id, agent_id, project_id, provider, model, input_tokens, output_tokens, cache_read_tokens,
      cache_write_tokens, cache_write_1h_tokens, cost_usd_ticks, uncosted_input_tokens, uncosted_output_tokens, uncosted_cache_read_tokens,
      uncosted_cache_write_tokens, uncosted_cache_write_1h_tokens, event_count
    from tallybook.task_usage_quarter_hour_now)
select
  (select count(*) from (
    (table raw_daily except all table shown_daily) union all (table shown_daily except all table raw_daily)) x) as differing_days,
  (select count(*) from (
    (table raw_quarter_hour except all table shown_quarter_hour) union all (table shown_quarter_hour except all table raw_quarter_hour)) x)
    as differing_quarter_hours,
  (select coalesce(sum(v.drifted_keys), 0)::bigint from tallybook.rollup r, tallybook.verify(r.name, '-infinity', 'infinity', 5) v where $1) as drifted_keys
