-- What happens to usage in the world, each on tasks of its own. The first corrections do not say that they are some.
update public.task_usage set input_tokens = input_tokens + 1 where task_id in (select md5('task ' || n)::uuid from generate_series(0, 19) n);
update public.task_usage set model = 'opus-corrected', updated_at = now() where task_id in (select md5('task ' || n)::uuid from generate_series(20, 39) n) and model = 'opus';
update public.task_usage set created_at = created_at + interval '3 days', updated_at = now() where task_id in (select md5('task ' || n)::uuid from generate_series(40, 59) n);
update public.agent_task_queue set runtime_id = md5('runtime 190')::uuid where id in (select md5('task ' || n)::uuid from generate_series(60, 79) n);
update public.agent_task_queue set agent_id = md5('agent 501')::uuid where id in (select md5('task ' || n)::uuid from generate_series(80, 99) n);
update public.agent_task_queue set runtime_id = null where id in (select md5('task ' || n)::uuid from generate_series(100, 119) n);
delete from public.task_usage where task_id in (select md5('task ' || n)::uuid from generate_series(120, 139) n);
delete from public.agent_task_queue where id in (select md5('task ' || n)::uuid from generate_series(140, 159) n);
update public.agent set workspace_id = md5('workspace 7')::uuid where id = md5('agent 52')::uuid;
delete from public.agent where id = md5('agent 53')::uuid;
insert into public.task_usage (task_id, provider, model, event_key, input_tokens)
select md5('task ' || n)::uuid, 'anthropic', 'opus', 'new', 10 from generate_series(160, 199) n
