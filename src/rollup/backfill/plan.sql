-- $1 raw rows of a slice, $2 the oldest day or null. Infinite bounds are null.
select case when isfinite(since) then since end, case when isfinite(until) then until end, rollups, raw_rows, days
from tallybook.backfill_plan($1, coalesce($2::date::timestamp at time zone 'UTC', '-infinity'))
