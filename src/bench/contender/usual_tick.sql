-- A tick as it will be five minutes from now: what it does, without the wait. The watermark moves as in rollup_task_usage_daily().
with state as (select watermark_at, clock_timestamp() as until from public.task_usage_rollup_state where id = 1),
  ticked as (select s.until, public.rollup_task_usage_daily_window(s.watermark_at, s.until) as touched from state s)
update public.task_usage_rollup_state r set watermark_at = t.until, last_run_rows = t.touched from ticked t where r.id = 1
