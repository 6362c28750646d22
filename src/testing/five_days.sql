-- After one_task.sql: usage of the same task on five days more, 2026-02-01 to 2026-02-05, three rows each.
insert into public.task_usage (task_id, provider, model, event_key, input_tokens, created_at)
select '00000000-0000-4000-8000-000000000004', 'anthropic', 'opus', d || ' ' || n, n, timestamptz '2026-02-01 12:00:00+00' + d * interval '1 day'
from generate_series(0, 4) d, generate_series(1, 3) n;
