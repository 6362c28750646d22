-- Tasks for writers, beside the history: $1 that are spread over all runtimes, and as many of one runtime alone, each with a running total.
with tasks as (
  insert into public.agent_task_queue (id, agent_id, runtime_id, status)
  select md5(kind || ' ' || n)::uuid, md5('agent ' || runtime * 5)::uuid, md5('runtime ' || runtime)::uuid, 'running'
  from generate_series(0, $1::bigint - 1) n
  cross join lateral (values ('spread', n % 200), ('hot', 0)) as where_ (kind, runtime)
  returning id)
insert into public.task_usage (task_id, provider, model, input_tokens, output_tokens)
select id, 'anthropic', 'opus', 1, 1 from tasks
