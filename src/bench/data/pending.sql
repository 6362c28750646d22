-- $1 rows of usage that happen now, of as many tasks all over the history's $2; $3 makes their identities new.
insert into public.task_usage (task_id, provider, model, event_key, input_tokens, output_tokens, cache_read_tokens, cost_usd_ticks)
select md5('task ' || (hashint8extended(n, 7) & 1073741823) % $2::bigint)::uuid, 'anthropic', 'opus', $3::text || '-' || n, 1000, 100, 10, 12345
from generate_series(1, $1::bigint) n
