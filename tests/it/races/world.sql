-- A small fleet whose parts are linked in every way that decides a key. Run again, it first removes what the last race left.
delete from task_usage;
delete from agent_task_queue;
delete from workspace;
insert into workspace (id, name, slug) select the('workspace ' || n), 'workspace', 'workspace-' || n from generate_series(1, 2) n;
insert into agent_runtime (id, workspace_id, name)
values (the('runtime 1'), the('workspace 1'), 'runtime'), (the('runtime 2'), the('workspace 1'), 'runtime'), (the('runtime 3'), the('workspace 2'), 'runtime');
insert into agent (id, workspace_id, name) values (the('agent 1'), the('workspace 1'), 'agent'), (the('agent 2'), the('workspace 2'), 'agent');
insert into project (id, workspace_id, title) values (the('project 1'), the('workspace 1'), 'project'), (the('project 2'), the('workspace 1'), 'project');
insert into issue (id, workspace_id, title, project_id)
values (the('issue 1'), the('workspace 1'), 'issue', the('project 1')), (the('issue 2'), the('workspace 2'), 'issue', the('project 2'));
insert into agent_task_queue (id, agent_id, issue_id, runtime_id)
values
  (the('task 1'), the('agent 1'), the('issue 1'), the('runtime 1')),
  (the('task 2'), the('agent 2'), null, null),
  (the('task 3'), the('agent 1'), the('issue 1'), the('runtime 2'));
insert into task_usage (task_id, provider, model, input_tokens, output_tokens, cost_usd_ticks, created_at)
values
  (the('task 1'), 'Claude', 'opus', 10, 1, null, '2026-01-02 23:59:00+00'),
  (the('task 1'), 'claude', 'opus', 20, 2, 5, '2026-01-02 23:59:00+00'),
  (the('task 1'), 'claude', 'sonnet', 40, 4, 7, '2026-01-03 00:00:00+00'),
  (the('task 2'), 'claude', 'opus', 80, 8, null, '2026-01-02 12:00:00+00'),
  (the('task 3'), 'claude', 'opus', 160, 16, null, '2026-01-02 23:50:00+00');
