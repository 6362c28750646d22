-- One of each of the host's things, under the ids of one_task.sql, and a usage row of before.
insert into public.workspace (id, name) values ('00000000-0000-4000-8000-000000000001', 'one');
insert into public.agent_runtime (id, workspace_id, name)
values ('00000000-0000-4000-8000-000000000002', '00000000-0000-4000-8000-000000000001', 'runtime');
insert into public.agent (id, workspace_id, name, runtime_id)
values ('00000000-0000-4000-8000-000000000003', '00000000-0000-4000-8000-000000000001', 'agent', '00000000-0000-4000-8000-000000000002');
insert into public.project (id, workspace_id, title)
values ('00000000-0000-4000-8000-000000000005', '00000000-0000-4000-8000-000000000001', 'project');
insert into public.issue (id, workspace_id, number, project_id)
values ('00000000-0000-4000-8000-000000000006', '00000000-0000-4000-8000-000000000001', 7, '00000000-0000-4000-8000-000000000005');
insert into public.agent_task_queue (id, agent_id, runtime_id, issue_id)
values ('00000000-0000-4000-8000-000000000004', '00000000-0000-4000-8000-000000000003', '00000000-0000-4000-8000-000000000002',
  '00000000-0000-4000-8000-000000000006');
insert into public.task_usage (task_id, provider, model, input_tokens, created_at)
values ('00000000-0000-4000-8000-000000000004', 'Anthropic', 'opus', 10, '2026-01-02 03:04:05+00');
