-- The raw rows of a UTC day, [$1, $2). A missing bound is the beginning, or the end, of time; what has no time belongs to the former.
select count(*)
from tallybook.usage_rows()
where (happened_at >= coalesce($1::date::timestamp at time zone 'UTC', '-infinity') or (happened_at is null and $1 is null))
  and (happened_at < coalesce($2::date::timestamp at time zone 'UTC', 'infinity') or (happened_at is null and $1 is null))
