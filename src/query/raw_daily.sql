(
  -- in the place of the daily now-view; the bounds on happened_at are there for the index
  select (c.bucket_start at time zone 'UTC')::date as bucket_date, c.*
  from tallybook.contribution() c
  where c.happened_at >= $2::date::timestamp at time zone 'UTC' and c.happened_at < ($3::date + 1)::timestamp at time zone 'UTC')
