-- The UTC days before $1 of which sealed usage is known by quarter hours, or will be once raw usage before $2 is sealed; oldest first.
select day, sum(rows)::bigint as rows
from (
  select (bucket_start at time zone 'UTC')::date as day, count(*) as rows
  from tallybook.sealed_usage
  where not is_thinned and bucket_start < $1::date::timestamp at time zone 'UTC'
  group by 1
  union all
  select (tallybook.bucket(happened_at) at time zone 'UTC')::date, count(*)
  from tallybook.usage_rows()
  where happened_at < least($1::date, $2::date)::timestamp at time zone 'UTC' and $1 is not null and $2 is not null
  group by 1) x
group by day
order by day
