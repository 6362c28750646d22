-- Moves the tasks of a runtime to another one: those of all agents, or of a viewer's.
update public.agent_task_queue t
set runtime_id = $2
from public.agent a
where t.runtime_id = $1 and a.id = t.agent_id and ($3::uuid is null or a.workspace_id = $3)
