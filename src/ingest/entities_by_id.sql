-- The given runtimes, agents and issues, as far as they exist, each with its workspace.
select 'runtime' as kind, id, workspace_id, null::uuid as runtime_id from public.agent_runtime as runtime where id = any ($1)
union all
select 'agent', id, workspace_id, runtime_id from public.agent as agent where id = any ($2)
union all
select 'issue', id, workspace_id, null from public.issue as issue where id = any ($3)
