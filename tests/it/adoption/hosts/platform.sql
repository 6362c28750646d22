-- A platform in production: more columns and tables than we know of, triggers, views and deferred keys of its own, no event_key, no cost, old rows without
-- updated_at, providers in mixed case, runtimes that take their tasks with them, row security for its application.
create table public.workspace (id uuid primary key default gen_random_uuid(), name text not null, plan text not null default 'free');
create table public.agent_runtime (
  id uuid primary key default gen_random_uuid(),
  workspace_id uuid not null references public.workspace on delete cascade,
  name text not null,
  provider varchar(40) not null,
  daemon_version text
);
create table public.agent (
  id uuid primary key default gen_random_uuid(),
  workspace_id uuid not null references public.workspace on delete cascade deferrable initially deferred,
  name varchar(200) not null,
  runtime_id uuid references public.agent_runtime on delete set null,
  settings jsonb not null default '{}'
);
create table public.project (
  id uuid primary key default gen_random_uuid(),
  workspace_id uuid not null references public.workspace on delete cascade,
  title text not null
);
create table public.issue (
  id uuid primary key default gen_random_uuid(),
  workspace_id uuid not null references public.workspace on delete cascade,
  number bigint generated always as identity,
  title text not null,
  project_id uuid references public.project on delete set null
);
create table public.agent_task_queue (
  id uuid primary key default gen_random_uuid(),
  agent_id uuid not null references public.agent on delete cascade,
  issue_id uuid references public.issue on delete cascade deferrable initially deferred,
  runtime_id uuid not null references public.agent_runtime on delete cascade,
  status text not null default 'queued',
  priority integer not null default 0,
  created_at timestamptz not null default now()
);
create index agent_task_queue_claim on public.agent_task_queue (runtime_id, status) where status = 'queued';
create index agent_task_queue_issue on public.agent_task_queue (issue_id) where issue_id is not null;
create table public.task_usage (
  id uuid primary key default gen_random_uuid(),
  task_id uuid not null references public.agent_task_queue on delete cascade,
  provider varchar(40) not null default '',
  model text not null,
  input_tokens integer not null default 0,
  output_tokens bigint not null default 0,
  cache_read_tokens bigint,
  cache_write_tokens bigint,
  latency_ms integer,
  created_at timestamptz not null default now(),
  updated_at timestamptz,
  unique (task_id, provider, model)
);
create table public.usage_log (usage_id uuid, at timestamptz not null default clock_timestamp(), what text);
create function public.touch() returns trigger language plpgsql as $$
begin
  new.updated_at := clock_timestamp();
  return new;
end $$;
create function public.log_usage() returns trigger language plpgsql as $$
begin
  insert into public.usage_log (usage_id, what) values (coalesce(new.id, old.id), tg_op);
  return null;
end $$;
create trigger touch before update on public.task_usage for each row execute function public.touch();
create trigger zz_log after insert or update or delete on public.task_usage for each row execute function public.log_usage();
create view public.usage_by_task as select task_id, sum(input_tokens) as input_tokens from public.task_usage group by task_id;
alter table public.task_usage enable row level security;
create policy everything on public.task_usage using (true);
