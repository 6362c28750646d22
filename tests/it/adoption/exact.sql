-- How many keys differ between the now-views and sums of the host's raw rows, written by hand, whatever their columns are made of.
with
  documents as (
    select to_jsonb(u) as j, t.runtime_id, t.agent_id::uuid, t.issue_id, a.workspace_id::uuid, i.project_id
    from public.task_usage u
    join public.agent_task_queue t on t.id = u.task_id
    join public.agent a on a.id = t.agent_id
    left join public.issue i on i.id = t.issue_id),
  usage as (
    select runtime_id, agent_id, workspace_id, project_id, lower(j ->> 'provider') collate "C" as provider, (j ->> 'model') collate "C" as model,
      ((j ->> 'created_at') || case when j ->> 'created_at' ~ '[+-]\d\d:\d\d$' then '' else '+00' end)::timestamptz as at,
      coalesce((j ->> 'input_tokens')::numeric, 0) as input_tokens, coalesce((j ->> 'output_tokens')::numeric, 0) as output_tokens,
      coalesce((j ->> 'cache_read_tokens')::numeric, 0) as cache_read_tokens, coalesce((j ->> 'cost_usd_ticks')::numeric, 0) as cost_usd_ticks,
      case when j ->> 'cost_usd_ticks' is null then coalesce((j ->> 'input_tokens')::numeric, 0) else 0 end as uncosted_input_tokens
    from documents),
  raw_days as (
    select (at at time zone 'UTC')::date as bucket_date, workspace_id, runtime_id, provider, model, sum(input_tokens) as i, sum(output_tokens) as o,
      sum(cache_read_tokens) as c, sum(cost_usd_ticks) as t, sum(uncosted_input_tokens) as u, count(*) as n
    from usage group by 1, 2, 3, 4, 5),
  shown_days as (
    select bucket_date, workspace_id, runtime_id, provider, model, input_tokens, output_tokens, cache_read_tokens, cost_usd_ticks, uncosted_input_tokens,
      event_count
    from tallybook.task_usage_daily_now),
  raw_quarters as (
    select date_bin('15 minutes', at, '2000-01-01 00:00+00') as bucket_start, workspace_id, runtime_id, agent_id, project_id, provider, model,
      sum(input_tokens) as i, sum(output_tokens) as o, sum(cache_read_tokens) as c, sum(cost_usd_ticks) as t, sum(uncosted_input_tokens) as u, count(*) as n
    from usage group by 1, 2, 3, 4, 5, 6, 7),
  shown_quarters as (
    select bucket_start, workspace_id, runtime_id, agent_id, project_id, provider, model, input_tokens, output_tokens, cache_read_tokens, cost_usd_ticks,
      uncosted_input_tokens, event_count
    from tallybook.task_usage_quarter_hour_now)
select
  (select count(*) from ((table raw_days except all table shown_days) union all (table shown_days except all table raw_days)) x)
  + (select count(*) from ((table raw_quarters except all table shown_quarters) union all (table shown_quarters except all table raw_quarters)) x) as differing,
  (select count(*) from raw_quarters) as keys
