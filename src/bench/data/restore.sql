-- Builds again what lighten.sql has taken off, foreign keys last.
do $$
declare
  statement text;
begin
  for statement in select restore from laid_aside order by step desc loop
    execute statement;
  end loop;
end $$;
alter table public.agent_task_queue enable trigger user;
alter table public.task_usage enable trigger user;
-- Declared again over tables that are not empty, rollups begin uncovered.
select tallybook.drop_rollup('task_usage_daily'), tallybook.drop_rollup('task_usage_quarter_hour');
select tallybook.create_rollup('task_usage_daily', '1 day', array['workspace_id', 'runtime_id', 'provider', 'model']);
select tallybook.create_rollup('task_usage_quarter_hour', '15 minutes',
  array['workspace_id', 'runtime_id', 'agent_id', 'project_id', 'provider', 'model'])
