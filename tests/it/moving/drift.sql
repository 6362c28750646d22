-- After a first tick of the usual design: every way in which it loses usage. Reports are an hour old when they are not told to be of another age.
insert into public.workspace (id, name, slug) values ('00000000-0000-4000-8000-0000000000b1', 'doomed', 'doomed');
insert into public.agent (id, workspace_id, name)
values ('00000000-0000-4000-8000-0000000000b3', '00000000-0000-4000-8000-0000000000b1', 'doomed'),
  ('00000000-0000-4000-8000-0000000000a3', '00000000-0000-4000-8000-000000000001', 'kept');
insert into public.agent_task_queue (id, agent_id, runtime_id)
values ('00000000-0000-4000-8000-0000000000b4', '00000000-0000-4000-8000-0000000000b3', '00000000-0000-4000-8000-000000000002'),
  ('00000000-0000-4000-8000-0000000000a4', '00000000-0000-4000-8000-0000000000a3', '00000000-0000-4000-8000-000000000002');
insert into public.task_usage (task_id, provider, model, event_key, input_tokens, created_at, updated_at)
values ('00000000-0000-4000-8000-0000000000a4', 'anthropic', 'opus', 'corrected', 50, '2026-02-10 12:00+00', now() - interval '1 hour'),
  ('00000000-0000-4000-8000-0000000000b4', 'anthropic', 'opus', 'deleted', 70, '2026-02-11 12:00+00', now() - interval '1 hour');
update public.task_usage_rollup_state set watermark_at = now() - interval '90 minutes';
select public.rollup_task_usage_daily();

-- a transaction that outlived the safety lag: its row is behind the watermark
insert into public.task_usage (task_id, provider, model, event_key, input_tokens, created_at, updated_at)
values ('00000000-0000-4000-8000-0000000000a4', 'anthropic', 'late', 'late', 60, '2026-02-12 12:00+00', now() - interval '30 minutes');
-- a corrected model: the old key stays as it was
update public.task_usage set model = 'sonnet', updated_at = now() - interval '10 minutes' where event_key = 'corrected';
-- a deleted agent: its usage stays billed
delete from public.agent where id = '00000000-0000-4000-8000-0000000000b3';
-- a tick in another time zone
set timezone = 'Asia/Kolkata';
insert into public.task_usage (task_id, provider, model, event_key, input_tokens, created_at, updated_at)
values ('00000000-0000-4000-8000-0000000000a4', 'anthropic', 'zoned', 'zoned', 80, '2026-02-13 20:00+00', now() - interval '20 minutes');
update public.task_usage_rollup_state set watermark_at = now() - interval '25 minutes';
select public.rollup_task_usage_daily();
set timezone = 'UTC';
