-- Triggers that do not fire. What changes meanwhile is in no rollup, and nothing folds.
with
  wanted (source, function) as (
    values ('task_usage', 'capture_usage'), ('agent_task_queue', 'capture_task'), ('agent', 'capture_agent'), ('issue', 'capture_issue')),
  found as (
    select w.source, name, t.oid is null as is_missing
    from wanted w
    cross join unnest(array['tallybook_insert', 'tallybook_update', 'tallybook_delete', 'tallybook_truncate']) as name
    left join pg_trigger t on t.tgrelid = to_regclass('public.' || w.source) and t.tgname = name
      and t.tgfoid = to_regproc('tallybook.' || case name when 'tallybook_truncate' then 'refuse_truncate' else w.function end)
    where t.oid is null or t.tgenabled not in ('O', 'A'))
select
  'danger' as severity,
  case when is_missing then 'trigger_missing' else 'trigger_disabled' end as code,
  format('trigger %s on public.%s', name, source) as place,
  case
    when name <> 'tallybook_truncate' then format('it %s: changes of the table are in no rollup, and nothing is folded',
      case when is_missing then 'is missing' else 'is disabled' end)
    else format('it %s: TRUNCATE would take rows away that the rollups still show', case when is_missing then 'is missing' else 'is disabled' end)
  end as what,
  case when is_missing then 'Make it again' else 'Enable it' end || ', then run `tallybook verify` and, where it finds drift, `tallybook repair`.' as advice,
  case when not is_missing then format('alter table public.%s enable trigger %s', source, name) end as sql
from found
order by source, name
