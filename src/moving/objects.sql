-- The usual design's objects, in the order in which they can be dropped: each needs none that comes before it. Triggers and their functions
-- are known by what they write to, whatever their names; all else by name. Of the indexes on task_usage only those that nothing but its
-- tick reads: on updated_at, and on rows that have none. What belongs to an extension is nobody's here.
with
  functions as (
    select p.oid, p.prorettype = 'trigger'::regtype as is_trigger
    from pg_proc p
    where p.pronamespace = 'public'::regnamespace
      and (p.proname in ('rollup_task_usage_daily', 'rollup_task_usage_daily_window', 'task_usage_rollup_lag_seconds')
        or p.prorettype = 'trigger'::regtype and p.prosrc ~* '\mtask_usage_daily_dirty\M')),
  tables as (
    select c.oid
    from pg_class c
    where c.oid in (to_regclass('public.task_usage_daily'), to_regclass('public.task_usage_daily_dirty'), to_regclass('public.task_usage_rollup_state'))
      and c.relkind in ('r', 'p')),
  indexes as (
    select i.indexrelid as oid
    from pg_index i
    join pg_attribute a on a.attrelid = i.indrelid and a.attname = 'updated_at' and not a.attisdropped
    where i.indrelid = to_regclass('public.task_usage')
      and not i.indisunique
      and (i.indnatts = 1 and i.indkey[0] = a.attnum
        or pg_get_expr(i.indpred, i.indrelid) ~* '^\(?updated_at is null\)?$')
      and exists (select from tables where oid = to_regclass('public.task_usage_daily'))),
  objects as (
    select 1 as rank, 'trigger' as kind, t.oid, format('%s on %I.%I', quote_ident(t.tgname), n.nspname, c.relname) as name
    from pg_trigger t
    join functions f on f.oid = t.tgfoid and f.is_trigger
    join pg_class c on c.oid = t.tgrelid
    join pg_namespace n on n.oid = c.relnamespace
    where not t.tgisinternal and t.tgparentid = 0
    union all
    select 2, 'function', f.oid, format('public.%I(%s)', p.proname, pg_get_function_identity_arguments(p.oid))
    from functions f join pg_proc p on p.oid = f.oid
    union all
    select 3, 'table', t.oid, format('public.%I', c.relname) from tables t join pg_class c on c.oid = t.oid
    union all
    select 4, 'index', i.oid, format('public.%I', c.relname) from indexes i join pg_class c on c.oid = i.oid)
select kind, name, format('drop %s %s', kind, name) as drop_sql
from objects o
where not exists (select from pg_depend d where d.objid = o.oid and d.deptype = 'e')
order by rank, name
