-- In how many keys both now-views differ from raw, and how many keys there are, on the UTC days from $1 on and before $2. Raw is summed by hand.
with
  raw as materialized (
    select date_bin('15 minutes', u.created_at, '2000-01-01 00:00+00') as bucket_start, a.workspace_id, t.runtime_id, t.agent_id, i.project_id,
      lower(u.provider) as provider, u.model::text as model, sum(u.input_tokens)::numeric as input_tokens, sum(u.output_tokens)::numeric as output_tokens,
      sum(u.cache_read_tokens)::numeric as cache_read_tokens, coalesce(sum(u.cache_write_tokens), 0)::numeric as cache_write_tokens,
      count(*)::numeric as event_count
    from public.task_usage u
    join public.agent_task_queue t on t.id = u.task_id
    join public.agent a on a.id = t.agent_id
    left join public.issue i on i.id = t.issue_id
    where u.created_at >= $1::timestamptz and u.created_at < $2::timestamptz
    group by 1, 2, 3, 4, 5, 6, 7),
  hours as materialized (
    select n.bucket_start, n.workspace_id, n.runtime_id, n.agent_id, n.project_id, n.provider::text as provider, n.model::text as model, n.input_tokens,
      n.output_tokens, n.cache_read_tokens, n.cache_write_tokens, n.event_count::numeric as event_count
    from tallybook.task_usage_quarter_hour_now n
    where n.bucket_start >= $1::timestamptz and n.bucket_start < $2::timestamptz),
  raw_days as materialized (
    select (bucket_start at time zone 'UTC')::date as day, workspace_id, runtime_id, provider, model, sum(input_tokens) as input_tokens,
      sum(output_tokens) as output_tokens, sum(cache_read_tokens) as cache_read_tokens, sum(cache_write_tokens) as cache_write_tokens,
      sum(event_count) as event_count
    from raw
    group by 1, 2, 3, 4, 5),
  days as materialized (
    select n.bucket_date as day, n.workspace_id, n.runtime_id, n.provider::text as provider, n.model::text as model, n.input_tokens, n.output_tokens,
      n.cache_read_tokens, n.cache_write_tokens, n.event_count::numeric as event_count
    from tallybook.task_usage_daily_now n
    where n.bucket_date >= ($1::timestamptz at time zone 'UTC')::date and n.bucket_date < ($2::timestamptz at time zone 'UTC')::date)
select
  (select count(*) from ((table raw except all table hours) union all (table hours except all table raw)) x)
    + (select count(*) from ((table raw_days except all table days) union all (table days except all table raw_days)) x) as differing,
  (select count(*) from raw) + (select count(*) from raw_days) as keys
