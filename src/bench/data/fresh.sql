-- $1 new tasks with two rows of usage each, on runtimes as busy as those of the history; $2 makes them new.
with drawn as (
  select md5($2::text || ' ' || n)::uuid as id, floor(200 ^ ((hashint8extended(n, 1) & 1048575) / 1048576.0::double precision))::bigint - 1 as runtime
  from generate_series(1, $1::bigint) n),
  tasks as (
    insert into public.agent_task_queue (id, agent_id, runtime_id, status)
    select id, md5('agent ' || runtime * 5)::uuid, md5('runtime ' || runtime)::uuid, 'running' from drawn
    returning id)
insert into public.task_usage (task_id, provider, model, input_tokens, output_tokens, cost_usd_ticks)
select id, 'anthropic', model, 1000, 100, 12345 from tasks cross join unnest(array['opus', 'haiku']) model
