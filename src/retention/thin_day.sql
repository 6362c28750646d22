-- One UTC day, [$1, $2). A missing bound is the beginning, or the end, of time. READ COMMITTED; takes the seal lock.
select rows_removed, rows_written
from tallybook.thin(
  coalesce($1::date::timestamp at time zone 'UTC', '-infinity'),
  coalesce($2::date::timestamp at time zone 'UTC', 'infinity'))
