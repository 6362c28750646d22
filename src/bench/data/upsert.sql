-- $1 kind and $2 number of the task, $3 event key (empty: the task's running total), $4 tokens.
insert into public.task_usage as stored (
  task_id, provider, model, event_key, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, cost_usd_ticks)
values (md5($1::text || ' ' || $2::bigint)::uuid, 'anthropic', 'opus', $3::text, $4::bigint, 100, 10, 5, 1, 12345)
on conflict (task_id, provider, model, event_key) do update
set input_tokens = excluded.input_tokens, output_tokens = stored.output_tokens + 1, cost_usd_ticks = excluded.cost_usd_ticks, updated_at = now()
