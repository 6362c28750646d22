-- How far the service's verification is. coverage: the share of the days from the first usage to the last that have been compared at all.
-- No usage: no days, all of them compared.
with
  raw as (select min(happened_at) as oldest, max(happened_at) as newest from tallybook.usage_rows()),
  sealed as (select min(bucket_start) as oldest, max(bucket_start) as newest from tallybook.sealed_usage),
  span as (
    select (tallybook.bucket(least(raw.oldest, sealed.oldest)) at time zone 'UTC')::date as first_day,
      (tallybook.bucket(greatest(raw.newest, sealed.newest)) at time zone 'UTC')::date as last_day
    from raw, sealed)
select checked_at, checked_since, nullif(unchecked_until, 'infinity') as reached,
  case
    when checked_since is not null then 1
    when unchecked_until = 'infinity' then 0
    else least(1, greatest(0, (last_day + 1 - unchecked_until)::double precision / (last_day + 1 - first_day)))
  end::double precision as coverage,
  extract(epoch from clock_timestamp() - checked_since)::double precision as oldest_check_seconds
from tallybook.verify_state, span
