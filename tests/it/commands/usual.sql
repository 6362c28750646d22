-- The usual design on a fleet of one task: three days of usage, summed by a first tick; then the model of one row is corrected behind its watermark.
insert into public.task_usage (task_id, provider, model, event_key, input_tokens, output_tokens, created_at, updated_at)
select id, 'anthropic', 'claude-opus-4', day, 1000 * day, 300 * day,
  (date_trunc('day', now(), 'UTC') - day * interval '1 day') + interval '12 hours', now() - interval '1 hour'
from public.agent_task_queue, generate_series(1, 3) as day;
select public.rollup_task_usage_daily();
update public.task_usage set model = 'claude-sonnet-4', updated_at = now() - interval '50 minutes' where event_key = '2';
