-- The kind of each table, and ways on which rows come past the triggers.
with
  sources as (
    select c.oid, c.relname, c.relkind, c.relpersistence
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'public' and c.relname in ('task_usage', 'agent_task_queue', 'agent', 'issue')),
  captured as (
    select s.oid, s.relkind, s.relname,
      -- statement-level triggers see only what is written through their own table
      bool_and(t.tgtype & 1 = 1) filter (where t.tgname <> 'tallybook_truncate') as by_row,
      bool_and(t.tgenabled = 'A') filter (where t.tgname <> 'tallybook_truncate') as always,
      case s.relname when 'task_usage' then 'select tallybook.capture_usage_by(''row'')'
        else format('select tallybook.install_capture(%L)', s.relname) end as by_row_sql
    from sources s left join pg_trigger t on t.tgrelid = s.oid and t.tgname like 'tallybook\_%' and t.tgparentid = 0
    group by s.oid, s.relkind, s.relname),
  children (parent, child) as (
    select i.inhparent, i.inhrelid from pg_inherits i join sources s on s.oid = i.inhparent where s.relkind = 'r'
    union all
    select s.oid, p.relid from sources s cross join lateral pg_partition_tree(s.oid) p where s.relkind = 'p' and p.level > 0)
select 'danger' as severity, 'source_kind' as code, format('table %s', oid::regclass) as place,
  'it is not an ordinary or partitioned table: its changes cannot be captured' as what,
  'Keep usage in an ordinary table.' as advice, null as sql
from sources
where relkind not in ('r', 'p')
union all
select 'danger', 'unlogged', format('table %s', oid::regclass),
  'it is unlogged: a crash of the server empties it, and the other tables go on showing or lacking what was in it',
  'Make it a logged table.', format('alter table %s set logged', oid::regclass)
from pg_class
where relpersistence = 'u' and relkind = 'r' and (oid in (select oid from sources) or relnamespace = 'tallybook'::regnamespace)
union all
select 'danger', 'child_uncaptured', format('table %s', i.child::regclass),
  format('what is written to it directly counts as raw usage of %s and is not captured', c.oid::regclass),
  case when c.relkind = 'p' then 'Write through the parent, or capture by row, whose triggers every partition has; then run `tallybook verify`.'
       else 'Detach it: rows of inheritance children cannot be captured. Then run `tallybook verify`.' end,
  case when c.relkind = 'r' then format('alter table %s no inherit %s', i.child::regclass, c.oid::regclass) else c.by_row_sql end
from captured c
join children i on i.parent = c.oid
where c.relkind = 'r' or not coalesce(c.by_row, false)
  or exists (
    select from unnest(array['tallybook_insert', 'tallybook_update', 'tallybook_delete']) as name
    where not exists (select from pg_trigger t where t.tgrelid = i.child and t.tgname = name and t.tgparentid <> 0 and t.tgenabled in ('O', 'A')))
union all
select 'warning', 'partition_truncate', format('table %s', i.child::regclass),
  'TRUNCATE of this partition is not refused: it would take rows away that the rollups still show',
  'Refuse it there, too.',
  format('create trigger tallybook_truncate before truncate on %s for each statement execute function tallybook.refuse_truncate()', i.child::regclass)
from captured c
join children i on i.parent = c.oid
where c.relkind = 'p'
  and not exists (
    select from pg_trigger t
    where t.tgrelid = i.child and t.tgfoid = 'tallybook.refuse_truncate'::regproc and t.tgenabled in ('O', 'A'))
union all
-- the list of files is written when a service, or somebody else, looks for rewritten tables
select 'danger', 'partition_attached', format('table %s', i.child::regclass),
  format('it has become a partition of %s, with rows that no trigger has seen', c.oid::regclass), 'Run `tallybook verify` and, where it finds drift, `tallybook repair`.',
  'select tallybook.notice_rewrites()'
from captured c
join children i on i.parent = c.oid
where c.relkind = 'p' and pg_relation_size(i.child) > 0 and not exists (select from tallybook.source_file f where f.source = i.child::regclass::text)
  and exists (select from tallybook.source_file)
union all
select 'danger', 'partition_detached', 'table ' || f.source, 'it is no partition any more, and its rows went past the triggers',
  'Run `tallybook verify` and, where it finds drift, `tallybook repair`.', 'select tallybook.notice_rewrites()'
from tallybook.source_file f
where not exists (select from sources s where s.oid = to_regclass(f.source)) and not exists (select from children i where i.child = to_regclass(f.source))
union all
select 'danger', 'parent_uncaptured', format('table %s', i.inhparent::regclass),
  format('what is written through it to its child %s is not captured: that is by statement', i.inhrelid::regclass),
  'Capture it by row, then run `tallybook verify`.', c.by_row_sql
from captured c
join pg_inherits i on i.inhrelid = c.oid
where not coalesce(c.by_row, false)
union all
select 'danger', 'replicated', format('table %s', c.oid::regclass),
  'logical replication writes it, and its triggers do not fire for that',
  'Capture it by row, with triggers that always fire; then run `tallybook verify`.', c.by_row_sql
from captured c
where exists (select from pg_subscription_rel r where r.srrelid = c.oid) and not (coalesce(c.by_row, false) and coalesce(c.always, false))
