-- Takes constraints and indexes off the two large tables, and remembers them: rows are loaded without, and all is built at once.
create temporary table laid_aside as
select
  case contype when 'f' then 1 else 2 end as step,
  format('alter table %s drop constraint %I', conrelid::regclass, conname) as remove,
  format('alter table %s add constraint %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid)) as restore
from pg_constraint
where conrelid in ('public.agent_task_queue'::regclass, 'public.task_usage'::regclass) and contype in ('f', 'p', 'u')
union all
select 3, format('drop index %s', i.indexrelid::regclass), pg_get_indexdef(i.indexrelid)
from pg_index i
where i.indrelid in ('public.agent_task_queue'::regclass, 'public.task_usage'::regclass)
  and not exists (select from pg_constraint c where c.conindid = i.indexrelid and c.conrelid = i.indrelid);
alter table public.agent_task_queue disable trigger user;
alter table public.task_usage disable trigger user;
do $$
declare
  statement text;
begin
  for statement in select remove from laid_aside order by step loop
    execute statement;
  end loop;
end $$
