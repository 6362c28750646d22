-- One slice in one transaction: the fold lock, ACCESS SHARE on the source tables, then the days' rollup rows. $1 raw rows, $2 the oldest day
-- or null, $3 gently. Any number of workers may run it: each covers the newest days that are left when it has the lock.
select nullif(since, '-infinity'::timestamptz), raw_rows, rows_written
from tallybook.backfill_slice($1, coalesce($2::date::timestamp at time zone 'UTC', '-infinity'), $3)
