insert into public.task_usage (task_id, provider, model, event_key, input_tokens, created_at)
values (public.the('task ' || $1::bigint % 20), 'claude', 'sonnet', 'event ' || $1::bigint, $1::bigint, '2026-01-02 12:00+00')
on conflict (task_id, provider, model, event_key) do update set input_tokens = excluded.input_tokens;
update public.task_usage set input_tokens = input_tokens + 1 where task_id = public.the('task ' || $1::bigint % 20);
update public.agent_task_queue set runtime_id = public.the('runtime ' || ($1::bigint / 7) % 2) where id = public.the('task ' || $1::bigint % 20);
update public.task_usage set model = 'haiku', created_at = created_at + interval '6 hours'
where task_id = public.the('task ' || $1::bigint % 20) and event_key = ($1::bigint % 200)::text;
update public.issue set project_id = public.the('project ' || ($1::bigint / 5) % 2) where id = public.the('issue ' || $1::bigint % 2);
delete from public.task_usage where task_id = public.the('task ' || $1::bigint % 20) and event_key = 'event ' || ($1::bigint - 40);
update public.agent set workspace_id = public.the('workspace ' || ($1::bigint / 3) % 2) where id = public.the('agent ' || $1::bigint % 2);
