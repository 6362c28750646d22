-- Foreign keys that refer to raw usage, or to a partition of it: what becomes of a row that refers to one that goes, and the SQL that counts those that refer to usage
-- before $1; null where this role may not read them. The parts that a partition has of its table's keys are left out.
with sources as (
  select distinct p.relid::oid as oid
  from unnest(array['public.task_usage', 'public.agent_task_queue', 'public.agent', 'public.issue']) as source
  cross join lateral (select to_regclass(source) union select relid from pg_partition_tree(source::regclass)) p (relid))
select
  format('%s.%I', c.relnamespace::regnamespace, c.relname) as table_name,
  r.conname::text as constraint_name,
  case r.confdeltype when 'c' then 'cascade' when 'n' then 'set_null' when 'd' then 'set_default' else 'refuse' end as on_delete,
  -- what its rows hold counts itself
  c.oid in (select oid from sources) as is_source,
  case when has_table_privilege(c.oid, 'select') then
    format('select count(*) from %1$s r join %2$s u on %3$s where %4$s < $1::date::timestamp at time zone ''UTC'' or %4$s is null',
      r.conrelid::regclass, r.confrelid::regclass, keys.equal, tallybook.usage_time('u'))
  end as count_sql
from pg_constraint r
join pg_class c on c.oid = r.conrelid
cross join lateral (
  select string_agg(format('r.%I = u.%I', f.attname, t.attname), ' and ' order by k.position) as equal
  from unnest(r.conkey, r.confkey) with ordinality as k (from_number, to_number, position)
  join pg_attribute f on f.attrelid = r.conrelid and f.attnum = k.from_number
  join pg_attribute t on t.attrelid = r.confrelid and t.attnum = k.to_number) keys
where r.contype = 'f' and r.conparentid = 0
  and r.confrelid in (select 'public.task_usage'::regclass::oid union select p.relid::oid from pg_partition_tree('public.task_usage') p)
order by 1, 2
