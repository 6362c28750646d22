-- The host's history: $1 rows of usage, two a task, of 180 days; 40 workspaces, 200 runtimes, 2,000 agents, 50 projects, an issue for each 20 tasks.
-- Run as a replica, so that the foreign keys of rows that fit by construction are not looked up one by one.
do $$
declare
  usage_rows constant bigint := current_setting('demo.rows')::bigint;
begin
  set local session_replication_role = replica;
  insert into public.workspace (id, name) select md5('workspace ' || n)::uuid, 'workspace ' || n from generate_series(0, 39) n;
  insert into public.agent_runtime (id, workspace_id, name)
  select md5('runtime ' || n)::uuid, md5('workspace ' || n % 40)::uuid, 'runtime ' || n from generate_series(0, 199) n;
  insert into public.agent (id, workspace_id, name, runtime_id)
  select md5('agent ' || n)::uuid, md5('workspace ' || n % 40)::uuid, 'agent ' || n, md5('runtime ' || n % 200)::uuid from generate_series(0, 1999) n;
  insert into public.project (id, workspace_id, title)
  select md5('project ' || n)::uuid, md5('workspace ' || n % 40)::uuid, 'project ' || n from generate_series(0, 49) n;
  insert into public.issue (id, workspace_id, number, title, project_id)
  select md5('issue ' || n)::uuid, md5('workspace ' || n % 40)::uuid, n, 'issue ' || n, md5('project ' || n % 50)::uuid
  from generate_series(0, usage_rows / 40) n;
  insert into public.agent_task_queue (id, agent_id, issue_id, runtime_id, status, created_at)
  select md5('task ' || n)::uuid, md5('agent ' || n % 2000)::uuid, md5('issue ' || n / 20)::uuid, md5('runtime ' || n % 200)::uuid, 'completed',
    now() - (usage_rows / 2 - n) * (interval '180 days' / (usage_rows / 2))
  from generate_series(0, usage_rows / 2 - 1) n;
  insert into public.task_usage (task_id, provider, model, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, created_at)
  select md5('task ' || n)::uuid, provider, model, 1000 + n % 1000, n % 100, n % 10000, nullif(n % 7, 0),
    now() - (usage_rows / 2 - n) * (interval '180 days' / (usage_rows / 2))
  from generate_series(0, usage_rows / 2 - 1) n, (values ('Anthropic', 'opus'), ('openai', 'gpt')) used (provider, model);
end $$
