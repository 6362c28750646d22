-- Two of everything, twenty tasks among them, and usage of four days.
create function public.the(name text) returns uuid language sql immutable as $$ select md5(name)::uuid $$;
insert into public.workspace (id, name, slug) select public.the('workspace ' || n), 'workspace', 'workspace-' || n from generate_series(0, 1) n;
insert into public.agent_runtime (id, workspace_id, name)
select public.the('runtime ' || n), public.the('workspace ' || n), 'runtime' from generate_series(0, 1) n;
insert into public.agent (id, workspace_id, name) select public.the('agent ' || n), public.the('workspace ' || n), 'agent' from generate_series(0, 1) n;
insert into public.project (id, workspace_id, title) select public.the('project ' || n), public.the('workspace ' || n), 'project' from generate_series(0, 1) n;
insert into public.issue (id, workspace_id, title, project_id)
select public.the('issue ' || n), public.the('workspace ' || n), 'issue', public.the('project ' || n) from generate_series(0, 1) n;
insert into public.agent_task_queue (id, agent_id, issue_id, runtime_id)
select public.the('task ' || n), public.the('agent ' || n % 2), public.the('issue ' || n % 2), public.the('runtime ' || n % 2) from generate_series(0, 19) n;
insert into public.task_usage (task_id, provider, model, event_key, input_tokens, output_tokens, created_at)
select public.the('task ' || n % 20), 'claude', 'opus', n::text, n, 1, timestamptz '2026-01-01' + n * interval '29 minutes'
from generate_series(0, 199) n;
