-- The UTC days before $1 that hold raw usage, oldest first. What has no time belongs to the first of all days. No $1: none.
select (tallybook.bucket(happened_at) at time zone 'UTC')::date as day, count(*) as rows
from tallybook.usage_rows()
where happened_at < $1::date::timestamp at time zone 'UTC' or (happened_at is null and $1 is not null)
group by 1
order by 1
