-- Stores reports, in order of identity (task, provider, model, event key): transactions that store the same
-- identities lock them in the same order, in whatever order clients sent them.
--
-- Returns the rows that were written, and whether each is new: a new row's xmax is 0, while the version that an
-- `on conflict` update writes keeps the lock that the conflict took before it.
-- A row that is not returned was there and stays as it is, stale or unchanged; it is locked all the same, so that what
-- usage_kept.sql then finds is what was compared here.
--
-- $13 is the time of reports that name none. No report here names that very microsecond (see `Batch::default_time`),
-- so a conflicting row that proposes it keeps its own time.
insert into public.task_usage as stored (
  task_id, provider, model, event_key, sequence,
  input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, cost_usd_ticks, created_at
)
select
  task_id, provider, model, event_key, sequence,
  input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, cost_usd_ticks,
  coalesce(occurred_at, $13)
from unnest(
  $1::uuid[], $2::text[], $3::text[], $4::text[], $5::bigint[],
  $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::timestamptz[]
) with ordinality as report (
  task_id, provider, model, event_key, sequence,
  input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, cost_usd_ticks, occurred_at,
  ordinal
)
order by ordinal
on conflict (task_id, provider, model, event_key) do update
set
  sequence = coalesce(excluded.sequence, stored.sequence),
  input_tokens = excluded.input_tokens,
  output_tokens = excluded.output_tokens,
  cache_read_tokens = excluded.cache_read_tokens,
  cache_write_tokens = excluded.cache_write_tokens,
  cache_write_1h_tokens = excluded.cache_write_1h_tokens,
  cost_usd_ticks = excluded.cost_usd_ticks,
  created_at = case when excluded.created_at = $13 then stored.created_at else excluded.created_at end,
  updated_at = now()
where (stored.sequence <= excluded.sequence or stored.sequence is null or excluded.sequence is null)
  and (
    stored.sequence, stored.input_tokens, stored.output_tokens, stored.cache_read_tokens, stored.cache_write_tokens,
    stored.cache_write_1h_tokens, stored.cost_usd_ticks, stored.created_at
  ) is distinct from (
    coalesce(excluded.sequence, stored.sequence), excluded.input_tokens, excluded.output_tokens, excluded.cache_read_tokens,
    excluded.cache_write_tokens, excluded.cache_write_1h_tokens, excluded.cost_usd_ticks,
    case when excluded.created_at = $13 then stored.created_at else excluded.created_at end
  )
returning task_id, provider, model, event_key, xmax = 0 as is_new
