-- Drops the source tables and all usage in them, where they are our own; adopted ones stay.
do $$
begin
  if not (select is_adopted from tallybook.installation) then
    drop table public.task_usage, public.agent_task_queue, public.issue, public.project, public.agent, public.agent_runtime, public.workspace;
  end if;
end $$;
drop table tallybook.source_column, tallybook.installation;
