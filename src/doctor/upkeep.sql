-- What folds, backfill and the service's verification have come to.
select 'danger' as severity, 'drift' as code, 'rollup ' || rollup as place,
  format('keys were found to differ from raw usage: %s of them, on %s UTC days from %s on', sum(drifted_keys), count(*), min(day)) as what,
  'Mend the causes that are listed here, then run `tallybook repair`.' as advice, null as sql
from tallybook.drift
group by rollup
union all
select 'warning', 'fold_failed', 'the last fold', last_error, 'Mend the cause; until then reads are exact and grow slower.', null
from tallybook.fold_state
where last_error is not null
union all
select 'warning', 'nobody_folds', 'changes that wait to be folded',
  format('the oldest has been waiting since %s: reads are exact and grow slower', to_char(oldest at time zone 'UTC', 'YYYY-MM-DD HH24:MI "UTC"')),
  'Run `tallybook serve`, or schedule the fold.', 'select tallybook.rollup_task_usage_daily()'
from tallybook.backlog()
where oldest < clock_timestamp() - interval '10 minutes'
union all
select 'note', 'not_covered', 'rollup ' || name,
  case when covered_from = 'infinity' then 'nothing is covered yet: all days are read from raw usage'
       else format('days before %s are read from raw usage', (covered_from at time zone 'UTC')::date) end,
  'Run `tallybook serve`, or `tallybook backfill`, to cover them.', null
from tallybook.rollup
where covered_from <> '-infinity'
union all
select 'note', 'not_verified', 'the service''s verification',
  'not every day has been compared with raw usage '
    || coalesce('since ' || to_char(checked_since at time zone 'UTC', 'YYYY-MM-DD HH24:MI "UTC"'), 'yet'),
  'Run `tallybook verify` to compare all of them now.', null
from tallybook.verify_state
where coalesce(checked_since < clock_timestamp() - interval '30 days', true) and exists (select from public.task_usage)
