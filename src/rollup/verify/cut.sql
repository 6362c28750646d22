-- Slices of [$1, $2), newest first, of about $3 raw rows each. What is pending is computed anew for every slice: with much of it, fewer.
with recursive
  size (slice_rows) as (
    select greatest($3, usage_rows + task_rows) from tallybook.backlog()),
  -- each slice's end is the next newer one's beginning
  slices (since, until) as (
    select tallybook.slice_before(coalesce($2::date::timestamp at time zone 'UTC', 'infinity'), slice_rows),
      coalesce($2::date::timestamp at time zone 'UTC', 'infinity')
    from size
    union all
    select tallybook.slice_before(s.since, slice_rows), s.since
    from slices s, size
    where s.since > coalesce($1::date::timestamp at time zone 'UTC', '-infinity'))
select
  case when since > coalesce($1::date::timestamp at time zone 'UTC', '-infinity') then (since at time zone 'UTC')::date else $1 end as since,
  case when isfinite(until) then (until at time zone 'UTC')::date end as until
from slices
