-- The quarter-hour rollup, declared over tables that are not empty: it begins uncovered.
select tallybook.create_rollup('task_usage_quarter_hour', '15 minutes',
  array['workspace_id', 'runtime_id', 'agent_id', 'project_id', 'provider', 'model'])
