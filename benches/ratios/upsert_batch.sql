insert into task_usage (task_id, provider, model, event_key, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, cost_usd_ticks)
select ('00000000-0000-4000-8006-' || lpad(to_hex(i), 12, '0'))::uuid, 'anthropic', 'opus', '', (random() * 1000000)::bigint, 100, 10, 5, 1, 12345
from generate_series($1::bigint, $2::bigint) i
on conflict (task_id, provider, model, event_key) do update set input_tokens = excluded.input_tokens, updated_at = now()
