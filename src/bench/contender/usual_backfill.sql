-- The usual design's backfill: month by month through the window function.
do $$
declare
  month timestamptz := (select date_trunc('month', min(created_at)) from public.task_usage);
begin
  while month < now() loop
    perform public.rollup_task_usage_daily_window(month, month + interval '1 month');
    month := month + interval '1 month';
  end loop;
end $$;
update public.task_usage_rollup_state set watermark_at = clock_timestamp() - interval '5 minutes' where id = 1
