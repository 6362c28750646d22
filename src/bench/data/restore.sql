-- Builds again what lighten.sql has taken off, foreign keys last.
do $$
declare
  statement text;
begin
  for statement in select restore from laid_aside order by step desc loop
    execute statement;
  end loop;
end $$;
alter table public.agent_task_queue enable trigger user;
alter table public.task_usage enable trigger user
