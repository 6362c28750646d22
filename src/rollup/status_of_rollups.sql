-- Each rollup: how far it is covered, what is known to differ, how large it is. An infinite bound has no value in most languages: null and a
-- flag stand for it. A day is a UTC day; days are counted from the first usage to the last, and there are none without usage.
with
  span as (
    select (tallybook.bucket(min(happened_at)) at time zone 'UTC')::date as first_day,
      (tallybook.bucket(max(happened_at)) at time zone 'UTC')::date + 1 as end_day
    from tallybook.usage_rows()),
  drifted as (
    select rollup, sum(drifted_keys)::bigint as keys, count(*) as days from tallybook.drift group by rollup)
select
  r.name,
  greatest(c.reltuples, 0)::bigint as rows_estimated,
  pg_total_relation_size(c.oid) as size_bytes,
  case when isfinite(r.covered_from) then r.covered_from end as covered_from,
  r.covered_from = 'infinity' as uncovered,
  coalesce(end_day - first_day, 0)::bigint as days,
  greatest(0, coalesce(case r.covered_from
    when '-infinity' then 0
    when 'infinity' then end_day - first_day
    else least((r.covered_from at time zone 'UTC')::date, end_day) - first_day end, 0))::bigint as uncovered_days,
  coalesce(drifted.keys, 0) as drifted_keys,
  coalesce(drifted.days, 0) as drifted_days
from tallybook.rollup r
cross join span
join pg_class c on c.oid = to_regclass('tallybook.' || r.name)
left join drifted on drifted.rollup = r.name
order by r.name
