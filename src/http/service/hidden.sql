-- Source tables of which row security would hide rows from the role that asks. Its sums would lack them, so the server refuses to read them at all.
select format(
  'row security would hide rows of %s from role %I, so nothing is read from it; `tallybook rights --check` says what the role needs', name, current_user)
from unnest(array[
  'public.workspace', 'public.agent_runtime', 'public.agent', 'public.project', 'public.issue', 'public.agent_task_queue', 'public.task_usage'
]) as name
where row_security_active(to_regclass(name))
