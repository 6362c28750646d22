-- Takes on the slice that is due: the newest days, or what lies before the point that this round has reached, of about $1 raw rows. No row
-- when none is due. READ COMMITTED; of any number of instances, the first to update the one row gets the slice: the others find it not
-- due any more. Who dies holding it loses it after ten minutes. A date that lies an hour ahead was written by a clock that was wrong.
with claimed as (
  update tallybook.verify_state
  set due_at = clock_timestamp() + interval '10 minutes'
  where due_at not between clock_timestamp() and clock_timestamp() + interval '1 hour'
  returning next_is_newest, case when next_is_newest then 'infinity' else unchecked_until end as until)
select c.next_is_newest,
  case when isfinite(s.since) then (s.since at time zone 'UTC')::date end as since,
  case when isfinite(c.until) then c.until end as until,
  clock_timestamp()
from claimed c
cross join lateral (select tallybook.slice_before(c.until::timestamp at time zone 'UTC', $1) as since) s
