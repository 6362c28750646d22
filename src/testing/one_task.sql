-- A workspace, a runtime, an agent, and a task that used 10 input tokens.
insert into public.workspace (id, name, slug) values ('00000000-0000-4000-8000-000000000001', 'one', 'one');
insert into public.agent_runtime (id, workspace_id, name)
values ('00000000-0000-4000-8000-000000000002', '00000000-0000-4000-8000-000000000001', 'runtime');
insert into public.agent (id, workspace_id, name)
values ('00000000-0000-4000-8000-000000000003', '00000000-0000-4000-8000-000000000001', 'agent');
insert into public.agent_task_queue (id, agent_id, runtime_id)
values ('00000000-0000-4000-8000-000000000004', '00000000-0000-4000-8000-000000000003', '00000000-0000-4000-8000-000000000002');
insert into public.task_usage (task_id, provider, model, input_tokens, created_at)
values ('00000000-0000-4000-8000-000000000004', 'anthropic', 'opus', 10, '2026-01-02 03:04:05+00');
