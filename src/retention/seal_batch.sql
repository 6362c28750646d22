-- One batch of a UTC day, [$1, $2), from $3 on, of $4 rows at most. A missing bound is the beginning, or the end, of time. READ COMMITTED; see
-- tallybook.seal for the order of its locks.
select rows_sealed, go_on_after::text
from tallybook.seal(
  coalesce($1::date::timestamp at time zone 'UTC', '-infinity'),
  coalesce($2::date::timestamp at time zone 'UTC', 'infinity'),
  $3::text::timestamptz, $4)
