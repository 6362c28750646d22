-- Indexes that pending, raw reads and cascades look things up by, and any that a build left behind.
with
  columns (source, name) as (
    values ('task_usage', 'task_id'), ('task_usage', 'created_at'), ('agent_task_queue', 'id'), ('agent_task_queue', 'agent_id'),
      ('agent_task_queue', 'issue_id'), ('agent_task_queue', 'runtime_id'), ('agent', 'id'), ('issue', 'id')),
  wanted (source, name, key) as (
    select c.source, c.name, coalesce(s.column_name, c.name) from columns c left join tallybook.source_column s on s.source = c.source and s.name = c.name)
select 'warning' as severity, 'index_missing' as code, format('public.%s (%s)', w.source, w.key) as place,
  'no index begins with this column: folds, reads and deletes scan the table' as what, 'Make one.' as advice,
  format('create index concurrently on public.%s (%s)', w.source, w.key) as sql
from wanted w
where not exists (
  select from pg_index i
  join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
  where i.indrelid = to_regclass('public.' || w.source) and a.attname = w.key and i.indisvalid and i.indisready
    -- one that leaves out only the rows that have none will do
    and coalesce(pg_get_expr(i.indpred, i.indrelid) = format('(%I IS NOT NULL)', w.key), true))
  -- of a time without zone there is one of our own
  and not exists (
    select from pg_index i join pg_class c on c.oid = i.indexrelid
    where i.indrelid = to_regclass('public.' || w.source) and w.name = 'created_at' and c.relname = 'tallybook_task_usage_time' and i.indisvalid)
union all
select 'warning', 'index_invalid', format('index %s', i.indexrelid::regclass), 'its build was interrupted: it is written and never read',
  'Build it again, or drop it.', format('reindex index concurrently %s', i.indexrelid::regclass)
from pg_index i
join pg_class c on c.oid = i.indrelid
where not (i.indisvalid and i.indisready)
  and (c.relnamespace = 'tallybook'::regnamespace or c.oid in (select to_regclass('public.' || source) from wanted))
