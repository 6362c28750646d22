-- Two workspaces. Acme: two runtimes, one of them gone, priced and unpriced usage; Beta: its own of the same name.
insert into public.workspace (id, name, slug) values
  ('00000000-0000-4000-8000-00000000000a', 'Acme', 'acme'),
  ('00000000-0000-4000-8000-00000000000b', 'Beta', 'beta');
insert into public.agent_runtime (id, workspace_id, name) values
  ('00000000-0000-4000-8000-0000000000a1', '00000000-0000-4000-8000-00000000000a', 'laptop'),
  ('00000000-0000-4000-8000-0000000000b1', '00000000-0000-4000-8000-00000000000b', 'laptop');
insert into public.agent (id, workspace_id, name) values
  ('00000000-0000-4000-8000-0000000000a2', '00000000-0000-4000-8000-00000000000a', 'coder'),
  ('00000000-0000-4000-8000-0000000000b2', '00000000-0000-4000-8000-00000000000b', 'writer');
insert into public.agent_task_queue (id, agent_id, runtime_id) values
  ('00000000-0000-4000-8000-0000000000a3', '00000000-0000-4000-8000-0000000000a2', '00000000-0000-4000-8000-0000000000a1'),
  ('00000000-0000-4000-8000-0000000000a4', '00000000-0000-4000-8000-0000000000a2', null),
  ('00000000-0000-4000-8000-0000000000b3', '00000000-0000-4000-8000-0000000000b2', '00000000-0000-4000-8000-0000000000b1');
insert into public.task_usage
  (task_id, provider, model, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, cost_usd_ticks, created_at)
values
  ('00000000-0000-4000-8000-0000000000a3', 'Anthropic', 'opus', 1234567, 89012, 345678, 9012, 34, 123450000000, '2026-02-01 12:00+00'),
  ('00000000-0000-4000-8000-0000000000a3', 'openai', 'gpt', 1000, 100, 0, 0, 0, null, '2026-02-01 23:59:59+00'),
  ('00000000-0000-4000-8000-0000000000a4', 'anthropic', 'opus', 10, 20, 30, 40, 50, 1, '2026-02-02 00:00+00'),
  ('00000000-0000-4000-8000-0000000000b3', 'anthropic', E'opus\u001b[2J', 7, 0, 0, 0, 0, 0, '2026-02-02 00:00+00');
