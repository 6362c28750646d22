-- Indexes that pending, raw reads and cascades look things up by, and any that a build left behind.
with
  wanted (source, key) as (
    values ('task_usage', 'task_id'), ('task_usage', 'created_at'), ('agent_task_queue', 'id'), ('agent_task_queue', 'agent_id'),
      ('agent_task_queue', 'issue_id'), ('agent_task_queue', 'runtime_id'), ('agent', 'id'), ('issue', 'id'))
select 'warning' as severity, 'index_missing' as code, format('public.%s (%s)', w.source, w.key) as place,
  'no index begins with this column: folds, reads and deletes scan the table' as what, 'Make one.' as advice,
  format('create index concurrently on public.%s (%s)', w.source, w.key) as sql
from wanted w
where not exists (
  select from pg_index i
  join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
  where i.indrelid = to_regclass('public.' || w.source) and a.attname = w.key and i.indisvalid and i.indisready and i.indpred is null)
union all
select 'warning', 'index_invalid', format('index %s', i.indexrelid::regclass), 'its build was interrupted: it is written and never read',
  'Build it again, or drop it.', format('reindex index concurrently %s', i.indexrelid::regclass)
from pg_index i
join pg_class c on c.oid = i.indrelid
where not (i.indisvalid and i.indisready)
  and (c.relnamespace = 'tallybook'::regnamespace or c.oid in (select to_regclass('public.' || source) from wanted))
