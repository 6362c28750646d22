-- $1 runtime, $2 first instant, $3 first instant after the range, $4 viewer; $5, $6, $7 the stretches between two
-- changes of the zone's clocks: first second, first second after it, and what local clocks are ahead of UTC.
-- The zone is known to the caller alone, so that one time zone database decides.
with stretch as (
  select to_timestamp(s.from_epoch) as from_time, to_timestamp(s.until_epoch) as until_time, make_interval(secs => s.offset_seconds) as ahead
  from unnest($5::bigint[], $6::bigint[], $7::integer[]) as s (from_epoch, until_epoch, offset_seconds)
),
-- read once, however many stretches there are
usage as materialized (
  select u.*
  from tallybook.task_usage_quarter_hour_now u
  where u.runtime_id = $1 and u.bucket_start >= $2 and u.bucket_start < $3 and ($4::uuid is null or u.workspace_id = $4)
)
select
  extract(hour from (u.bucket_start + s.ahead) at time zone 'UTC')::smallint as hour,
  sum(u.input_tokens)::text as input_tokens,
  sum(u.output_tokens)::text as output_tokens,
  sum(u.cache_read_tokens)::text as cache_read_tokens,
  sum(u.cache_write_tokens)::text as cache_write_tokens,
  sum(u.cache_write_1h_tokens)::text as cache_write_1h_tokens,
  sum(u.cost_usd_ticks)::text as cost_usd_ticks,
  sum(u.uncosted_input_tokens)::text as uncosted_input_tokens,
  sum(u.uncosted_output_tokens)::text as uncosted_output_tokens,
  sum(u.uncosted_cache_read_tokens)::text as uncosted_cache_read_tokens,
  sum(u.uncosted_cache_write_tokens)::text as uncosted_cache_write_tokens,
  sum(u.uncosted_cache_write_1h_tokens)::text as uncosted_cache_write_1h_tokens,
  sum(u.event_count)::text as event_count
from usage u
join stretch s on u.bucket_start >= s.from_time and u.bucket_start < s.until_time
group by 1
