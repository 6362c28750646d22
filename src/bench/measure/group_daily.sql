-- One bare GROUP BY over the joined rows that a backfill of the daily rollup reads, with the same sums, and without parallel workers.
set max_parallel_workers_per_gather = 0;
set work_mem = '64MB';
select count(*) from (
  select (u.created_at at time zone 'UTC')::date, a.workspace_id, t.runtime_id, u.provider, u.model, sum(u.input_tokens), sum(u.output_tokens),
    sum(u.cache_read_tokens), sum(u.cache_write_tokens), sum(u.cache_write_1h_tokens), sum(u.cost_usd_ticks), count(*)
  from public.task_usage u
  join public.agent_task_queue t on t.id = u.task_id
  join public.agent a on a.id = t.agent_id
  left join public.issue i on i.id = t.issue_id
  group by 1, 2, 3, 4, 5) sums
