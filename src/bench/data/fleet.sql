-- Who works: 20 workspaces, 200 runtimes with 5 agents each, 60 projects. An agent's workspace is its runtime's.
insert into public.workspace (id, name, slug)
select md5('workspace ' || n)::uuid, 'workspace ' || n, 'workspace-' || n from generate_series(0, 19) n;
insert into public.agent_runtime (id, workspace_id, name)
select md5('runtime ' || n)::uuid, md5('workspace ' || n % 20)::uuid, 'runtime ' || n from generate_series(0, 199) n;
insert into public.agent (id, workspace_id, name, runtime_id)
select md5('agent ' || n)::uuid, md5('workspace ' || n / 5 % 20)::uuid, 'agent ' || n, md5('runtime ' || n / 5)::uuid from generate_series(0, 999) n;
insert into public.project (id, workspace_id, title)
select md5('project ' || n)::uuid, md5('workspace ' || n % 20)::uuid, 'project ' || n from generate_series(0, 59) n;
-- usage by task, as hosts index it for their cascades
create index idx_task_usage_task on public.task_usage (task_id)
