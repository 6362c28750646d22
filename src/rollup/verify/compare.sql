-- Each UTC day of a slice of one rollup. A missing bound is the beginning, or the end, of time.
select day, keys, drifted_keys, examples
from tallybook.compare($1,
  coalesce($2::date::timestamp at time zone 'UTC', '-infinity'),
  coalesce($3::date::timestamp at time zone 'UTC', 'infinity'),
  $4)
