-- Triggers that do not fire. What changes meanwhile is in no rollup, and nothing folds.
with
  wanted (source, function) as (
    values ('public.task_usage', 'capture_usage_%s'), ('public.agent_task_queue', 'capture_task'), ('public.agent', 'capture_agent'),
      ('public.issue', 'capture_issue'), ('tallybook.sealed_usage', 'capture_sealed')),
  found as (
    select w.source, name, t.oid is null as is_missing
    from wanted w
    cross join unnest(array['insert', 'update', 'delete', 'truncate']) as event
    cross join lateral (select 'tallybook_' || event) trigger (name)
    left join pg_trigger t on t.tgrelid = to_regclass(w.source) and t.tgname = name
      and t.tgfoid = to_regproc('tallybook.' || case event when 'truncate' then 'refuse_truncate' else format(w.function, event) end)
    where t.oid is null or t.tgenabled not in ('O', 'A'))
select
  'danger' as severity,
  case when is_missing then 'trigger_missing' else 'trigger_disabled' end as code,
  format('trigger %s on %s', name, source) as place,
  case
    when name <> 'tallybook_truncate' then format('it %s: changes of the table are in no rollup, and nothing is folded',
      case when is_missing then 'is missing' else 'is disabled' end)
    else format('it %s: TRUNCATE would take rows away that the rollups still show', case when is_missing then 'is missing' else 'is disabled' end)
  end as what,
  case when is_missing then 'Make it again' else 'Enable it' end || ', then run `tallybook verify` and, where it finds drift, `tallybook repair`.' as advice,
  case when not is_missing then format('alter table %s enable trigger %s', source, name) end as sql
from found
union all
select 'danger', 'capture_broken', format('table public.%s', source),
  format('its changes have not been captured since %s: %s', to_char(min(noted_at) at time zone 'UTC', 'YYYY-MM-DD HH24:MI "UTC"'), min(message)),
  'Run `tallybook adopt --refresh`, which follows renamed columns; a needed column that was dropped has to be added again.', 'select tallybook.mend_capture()'
from tallybook.capture_break
group by source
union all
select 'warning', 'source_altered', 'the source tables', change, 'Run `tallybook adopt --refresh`.', 'select tallybook.follow_sources()'
from tallybook.source_changes() as change
order by code, place
