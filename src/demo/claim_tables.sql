-- Tables that are neither PostgreSQL's, nor an extension's, nor Tallybook's. Its source tables are its own only
-- where it has migrated: elsewhere tables of the same names are somebody else's.
select count(*) as total, min(format('%I.%I', n.nspname, c.relname)) as example
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'f', 'm')
  and n.nspname not in ('tallybook', 'information_schema')
  and n.nspname not like 'pg\_%'
  and not exists (
    select from pg_catalog.pg_depend d
    where d.classid = 'pg_catalog.pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
  and not (
    n.nspname = 'public'
    and c.relname in ('workspace', 'agent_runtime', 'agent', 'project', 'issue', 'agent_task_queue', 'task_usage')
    and to_regclass('tallybook.migration') is not null)
