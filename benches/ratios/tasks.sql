insert into agent_task_queue (id, agent_id, runtime_id)
select ('00000000-0000-4000-8006-' || lpad(to_hex(i), 12, '0'))::uuid, ('00000000-0000-4000-8003-' || lpad((i % 100)::text, 12, '0'))::uuid,
  ('00000000-0000-4000-8002-' || lpad((i % 100)::text, 12, '0'))::uuid
from generate_series(1, $1::bigint) i
