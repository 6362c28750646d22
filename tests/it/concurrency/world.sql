-- Makes what is missing of a small fleet: few entities, so that changes meet.
insert into workspace (id, name, slug) select one('workspace', n), 'workspace', 'workspace-' || n from generate_series(0, 1) n on conflict do nothing;
insert into agent_runtime (id, workspace_id, name) select one('runtime', n), one('workspace', n), 'runtime' from generate_series(0, 2) n on conflict do nothing;
insert into agent (id, workspace_id, name) select one('agent', n), one('workspace', n), 'agent' from generate_series(0, 2) n on conflict do nothing;
insert into project (id, workspace_id, title) select one('project', n), one('workspace', n), 'project' from generate_series(0, 2) n on conflict do nothing;
insert into issue (id, workspace_id, title, project_id)
select one('issue', n), one('workspace', n + 1), 'issue', one('project', n) from generate_series(0, 2) n on conflict do nothing;
insert into agent_task_queue (id, agent_id, issue_id, runtime_id)
select one('task', n), one('agent', n), case when n % 3 < 2 then one('issue', n / 2) end, case when n % 4 < 3 then one('runtime', n / 3) end
from generate_series(0, 7) n on conflict do nothing
