-- Of reports that changed nothing, which were stale. Their rows are locked by usage_put.sql in this transaction.
select report.ordinal, coalesce(stored.sequence > report.sequence, false) as is_stale
from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::bigint[])
  with ordinality as report (task_id, provider, model, event_key, sequence, ordinal)
cross join lateral (
  select usage.sequence
  from public.task_usage as usage
  where usage.task_id = report.task_id
    and usage.provider = report.provider
    and usage.model = report.model
    and usage.event_key = report.event_key
  offset 0
) as stored
