-- $1 kind and $2 number of the first task of $3, $4 the key of new events, $5 tokens: every second task reports its running total.
insert into public.task_usage as stored (
  task_id, provider, model, event_key, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, cost_usd_ticks)
select md5($1::text || ' ' || n)::uuid, 'anthropic', 'opus', case when n % 2 = 0 then '' else $4::text end, $5::bigint + n, 100, 10, 5, 1, 12345
from generate_series($2::bigint, $2::bigint + $3::bigint - 1) n
on conflict (task_id, provider, model, event_key) do update
set input_tokens = excluded.input_tokens, output_tokens = stored.output_tokens + 1, cost_usd_ticks = excluded.cost_usd_ticks, updated_at = now()
