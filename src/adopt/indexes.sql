-- The indexes that pending, raw reads and cascades look things up by, where the host has none: a row for each one to build, of a partitioned table's partitions
-- and itself, parents first. The host's counts where it begins with the column, is valid, and leaves out at most the rows that have none.
with
  wanted (source, name, label) as (
    values ('task_usage', 'task_id', 'task'), ('task_usage', 'created_at', 'time'), ('agent_task_queue', 'id', 'id'), ('agent_task_queue', 'agent_id', 'agent'),
      ('agent_task_queue', 'issue_id', 'issue'), ('agent_task_queue', 'runtime_id', 'runtime'), ('agent', 'id', 'id'), ('issue', 'id', 'id')),
  columns as (
    select w.source, w.label, case w.label when 'time' then 8 else 16 end as key_bytes, a.attrelid, a.attnum, a.attname,
      -- as raw reads name it: see tallybook.utc
      case when w.name <> 'created_at' or t.typname = 'timestamptz' then quote_ident(a.attname)
           when t.typname = 'date' then format('timezone(''UTC'', %I::timestamp)', a.attname)
           else format('timezone(''UTC'', %I)', a.attname) end as key
    from wanted w
    join pg_attribute a on a.attrelid = to_regclass('public.' || w.source) and a.attname = w.name and not a.attisdropped
    join pg_type d on d.oid = a.atttypid
    join pg_type t on t.oid = case when d.typtype = 'd' then d.typbasetype else d.oid end),
  lacking as (
    select c.* from columns c
    where not exists (
      select from pg_index i join pg_class x on x.oid = i.indexrelid join pg_am m on m.oid = x.relam
      where i.indrelid = c.attrelid and i.indisvalid and i.indisready and m.amname = 'btree' and x.relname not like 'tallybook\_%'
        and i.indkey[0] = c.attnum and c.key = quote_ident(c.attname)
        and coalesce(pg_get_expr(i.indpred, i.indrelid) = format('(%I IS NOT NULL)', c.attname), true))),
  members as (
    select l.*, coalesce(p.relid::oid, l.attrelid) as relation, p.parentrelid::oid as parent, coalesce(p.level, 0) as level, coalesce(p.isleaf, true) as is_leaf
    from lacking l
    left join lateral (select * from pg_partition_tree(l.attrelid)) p on true),
  -- an index lies in its table's schema
  named as (
    select m.*, c.relnamespace as space, format('tallybook_%s_%s%s', source, label, case when level > 0 then '_' || relation else '' end) as name
    from members m join pg_class c on c.oid = m.relation)
select n.name, format('%s.%I', n.space::regnamespace, n.name) as qualified_name, n.relation::regclass::text as relation, n.key, n.key_bytes, n.is_leaf,
  case when x.oid is null then 'missing' when i.indisvalid then 'valid' else 'invalid' end as state,
  (select format('%s.%I', o.space::regnamespace, o.name) from named o
   where n.level > 0 and o.relation = n.parent and o.source = n.source and o.label = n.label) as parent,
  exists (select from pg_inherits h where h.inhrelid = x.oid) as is_attached
from named n
left join pg_class x on x.relname = n.name and x.relnamespace = n.space
left join pg_index i on i.indexrelid = x.oid
order by n.level, n.name
