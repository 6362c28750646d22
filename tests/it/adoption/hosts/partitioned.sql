-- Usage in partitions, some of them partitioned further, tasks in partitions by hash; keys that cannot be unique by id alone.
create table public.workspace (id uuid primary key, name text not null);
create table public.agent_runtime (id uuid primary key, workspace_id uuid not null references public.workspace on delete cascade, name text);
create table public.agent (id uuid primary key, workspace_id uuid not null references public.workspace on delete cascade, name text);
create table public.project (id uuid primary key, workspace_id uuid not null references public.workspace on delete cascade, title text);
create table public.issue (id uuid primary key, workspace_id uuid not null, title text, project_id uuid references public.project on delete set null);
create table public.agent_task_queue (id uuid primary key, agent_id uuid not null, issue_id uuid, runtime_id uuid) partition by hash (id);
create table public.agent_task_queue_0 partition of public.agent_task_queue for values with (modulus 2, remainder 0);
create table public.agent_task_queue_1 partition of public.agent_task_queue for values with (modulus 2, remainder 1);
create table public.task_usage (
  id uuid not null,
  task_id uuid not null,
  provider text not null,
  model text not null,
  event_key text not null default '',
  input_tokens bigint not null default 0,
  output_tokens bigint not null default 0,
  cache_read_tokens bigint not null default 0,
  cost_usd_ticks bigint,
  created_at timestamptz not null,
  updated_at timestamptz not null default now(),
  primary key (id, created_at)
) partition by range (created_at);
create table public.task_usage_old partition of public.task_usage for values from (minvalue) to ('2026-01-01');
create table public.task_usage_2026_01 partition of public.task_usage for values from ('2026-01-01') to ('2026-02-01')
  partition by range (created_at);
create table public.task_usage_2026_01_a partition of public.task_usage_2026_01 for values from ('2026-01-01') to ('2026-01-16');
create table public.task_usage_2026_01_b partition of public.task_usage_2026_01 default;
create table public.task_usage_rest partition of public.task_usage default;
