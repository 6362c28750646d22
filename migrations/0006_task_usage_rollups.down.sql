drop function tallybook.task_usage_rollup_lag_seconds(), tallybook.rollup_task_usage_daily_window(timestamptz, timestamptz), tallybook.rollup_task_usage_daily();
drop view tallybook.task_usage_rollup_state, tallybook.task_usage_daily_dirty;
select tallybook.drop_rollup('task_usage_quarter_hour');
select tallybook.drop_rollup('task_usage_daily');
