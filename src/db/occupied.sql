-- The source tables that are there although Tallybook was never installed; null when there are none, or it was.
select string_agg('public.' || name, ', ')
from unnest(array['workspace', 'agent_runtime', 'agent', 'project', 'issue', 'agent_task_queue', 'task_usage']) as name
where to_regclass('public.' || name) is not null and to_regclass('tallybook.installation') is null
