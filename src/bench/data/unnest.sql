-- What ingest comes down to: $1 tasks, $2 event keys, $3 tokens.
insert into public.task_usage as stored (
  task_id, provider, model, event_key, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, cost_usd_ticks)
select task_id, 'anthropic', 'opus', event_key, tokens, 100, 10, 5, 1, null
from unnest($1::uuid[], $2::text[], $3::bigint[]) as report (task_id, event_key, tokens)
on conflict (task_id, provider, model, event_key) do update
set input_tokens = excluded.input_tokens, updated_at = now()
where stored.input_tokens is distinct from excluded.input_tokens
