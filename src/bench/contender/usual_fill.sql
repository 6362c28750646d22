-- What the usual design's own backfill comes to, in one statement: its windows would take hours of a run at the largest sizes.
insert into public.task_usage_daily (
  bucket_date, workspace_id, runtime_id, provider, model, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, event_count)
select date(u.created_at), a.workspace_id, t.runtime_id, u.provider, u.model, sum(u.input_tokens), sum(u.output_tokens), sum(u.cache_read_tokens),
  sum(u.cache_write_tokens), count(*)
from public.task_usage u
join public.agent_task_queue t on t.id = u.task_id
join public.agent a on a.id = t.agent_id
where t.runtime_id is not null
group by 1, 2, 3, 4, 5;
update public.task_usage_rollup_state set watermark_at = clock_timestamp() where id = 1
