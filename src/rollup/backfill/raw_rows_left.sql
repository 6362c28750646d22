-- $1 the oldest day that counts, or null.
select greatest(0, (tallybook.raw_rows_before(max(covered_from))).raw_rows
  - (tallybook.raw_rows_before(least(max(covered_from), coalesce($1::date::timestamp at time zone 'UTC', '-infinity')))).raw_rows)
from tallybook.rollup
