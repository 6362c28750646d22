-- Both rollups, declared over history that they do not hold yet.
select tallybook.drop_rollup(name) from tallybook.rollup;
select tallybook.create_rollup('task_usage_daily', '1 day', array['workspace_id', 'runtime_id', 'provider', 'model']);
select tallybook.create_rollup('task_usage_quarter_hour', '15 minutes',
  array['workspace_id', 'runtime_id', 'agent_id', 'project_id', 'provider', 'model'])
