-- The two rollups, and the names that schedulers, monitors and dashboards call. Only new objects in schema tallybook.

select tallybook.create_rollup('task_usage_daily', '1 day', array['workspace_id', 'runtime_id', 'provider', 'model']);
select tallybook.create_rollup('task_usage_quarter_hour', '15 minutes', array['workspace_id', 'runtime_id', 'agent_id', 'project_id', 'provider', 'model']);

create function tallybook.rollup_task_usage_daily() returns bigint
  language sql security definer set search_path = pg_catalog, pg_temp
  begin atomic
    select tallybook.fold(25, 50000);
  end;
comment on function tallybook.rollup_task_usage_daily is
  'One tick, for any scheduler: folds what is pending into every rollup, bounded; the next tick goes on. Returns the rollup rows touched.';

create function tallybook.rollup_task_usage_daily_window(p_from timestamptz, p_to timestamptz) returns bigint
  language sql security definer set search_path = pg_catalog, pg_temp
  begin atomic
    select tallybook.rebuild(p_from, p_to);
  end;
comment on function tallybook.rollup_task_usage_daily_window is 'tallybook.rebuild, under the name that it has elsewhere.';

create view tallybook.task_usage_daily_dirty as
select (p.bucket_start at time zone 'UTC')::date as bucket_date, p.workspace_id, p.runtime_id, p.provider, p.model,
  (select oldest from tallybook.backlog()) as enqueued_at
from tallybook.pending() p
group by 1, p.workspace_id, p.runtime_id, p.provider, p.model;
comment on view tallybook.task_usage_daily_dirty is
  'Daily keys with something pending. enqueued_at is when the oldest of all change rows was captured: a bound.';

-- Monitors ask for the row with id = 1.
create view tallybook.task_usage_rollup_state as
select coalesce((select oldest from tallybook.backlog()), now()) as watermark_at, last_run_started_at, last_run_finished_at, last_run_rows, last_error,
  1 as id
from tallybook.fold_state;
comment on view tallybook.task_usage_rollup_state is 'One row: all that was committed before watermark_at is folded, and how the last tick went.';

create function tallybook.task_usage_rollup_lag_seconds() returns double precision
  language sql stable security definer set search_path = pg_catalog, pg_temp
  begin atomic
    select case when last_run_finished_at is not null
      then greatest(0, coalesce(extract(epoch from clock_timestamp() - (select oldest from tallybook.backlog())), 0))::double precision end
    from tallybook.fold_state;
  end;
comment on function tallybook.task_usage_rollup_lag_seconds is
  'Age, in seconds, of the oldest change row that is not folded; 0 when there is none, null before the first tick. Reads are exact all the same.';

revoke all on all functions in schema tallybook from public;
