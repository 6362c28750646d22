-- One to three rows for each of $1 tasks of the 180 days before $2, of as many models; half of them name a price.
insert into public.task_usage (
  task_id, provider, model, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, cost_usd_ticks,
  created_at, updated_at
)
select md5('task ' || n)::uuid, split_part(model, '/', 1), split_part(model, '/', 2), 1000 + drawn % 9000, 100 + drawn % 900, drawn % 50000, drawn % 2000,
  drawn % 7, case when n % 2 = 0 then drawn * 1000 end, at, at
from generate_series(0, $1::bigint - 1) n
cross join generate_series(0, 2) k
cross join lateral (
  select hashint8extended(n, 3 + k) & 1048575 as drawn,
    $2::timestamptz - ($1::bigint - n) * (interval '180 days' / $1::bigint) + k * interval '4 minutes' as at) x
cross join lateral (
  select (array['anthropic/opus', 'anthropic/sonnet', 'anthropic/haiku', 'openai/gpt', 'openai/gpt-mini', 'google/gemini'])[
    1 + ((array[0, 0, 0, 0, 1, 1, 1, 2, 3, 5])[1 + (hashint8extended(n, 6) & 1023) % 10] + k) % 6] as model) m
where k <= n % 3
