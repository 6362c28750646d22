insert into task_usage (task_id, provider, model, input_tokens, output_tokens, cache_read_tokens, created_at)
select ('00000000-0000-4000-8006-' || lpad(to_hex(i), 12, '0'))::uuid, 'anthropic', model, 1000 + i % 100, 100, i % 1000,
  now() - i * (interval '180 days' / $1::bigint)
from generate_series(1, $1::bigint) i cross join unnest(array['opus', 'haiku']) model
