-- Source tables as somebody else may have made them: no event_key, no sequence, no cache writes of an hour, no price, no labels, no archive marks, no
-- slugs; types of its own, more columns, a trigger of its own, and a runtime that takes its tasks along.
create type public.task_status as enum ('queued', 'dispatched', 'running', 'completed', 'failed', 'cancelled');

create table public.workspace (
  id uuid primary key default gen_random_uuid(),
  name varchar(120) not null,
  plan text not null default 'free',
  created_at timestamptz not null default now()
);
create table public.agent_runtime (
  id uuid primary key default gen_random_uuid(),
  workspace_id uuid not null references public.workspace on delete cascade,
  name text not null,
  provider varchar(50) not null default 'Anthropic',
  last_seen_at timestamptz,
  created_at timestamp not null default (now() at time zone 'UTC')
);
create table public.agent (
  id uuid primary key default gen_random_uuid(),
  workspace_id uuid not null references public.workspace on delete cascade,
  name text not null,
  runtime_id uuid not null references public.agent_runtime on delete cascade,
  instructions text not null default '',
  created_at timestamptz not null default now()
);
create table public.project (
  id uuid primary key default gen_random_uuid(),
  workspace_id uuid not null references public.workspace on delete cascade,
  title text not null
);
create table public.issue (
  id uuid primary key default gen_random_uuid(),
  workspace_id uuid not null references public.workspace on delete cascade,
  number integer not null,
  title text,
  project_id uuid references public.project on delete set null,
  created_at timestamptz not null default now()
);
create table public.agent_task_queue (
  id uuid primary key default gen_random_uuid(),
  agent_id uuid not null references public.agent on delete cascade,
  issue_id uuid references public.issue on delete cascade,
  runtime_id uuid not null references public.agent_runtime on delete cascade,
  status public.task_status not null default 'queued',
  priority integer not null default 0,
  context jsonb,
  created_at timestamptz not null default now(),
  started_at timestamptz,
  completed_at timestamptz
);
create table public.task_usage (
  id uuid primary key default gen_random_uuid(),
  task_id uuid not null references public.agent_task_queue on delete cascade,
  provider varchar(50) not null,
  model varchar(100) not null,
  input_tokens integer not null default 0,
  output_tokens integer not null default 0,
  cache_read_tokens bigint not null default 0,
  cache_write_tokens bigint default 0,
  created_at timestamptz(3) not null default now(),
  updated_at timestamptz,
  unique (task_id, provider, model)
);
create index on public.agent (workspace_id);
create index on public.agent (runtime_id);
create index on public.issue (project_id);
create index on public.agent_task_queue (agent_id);
create index on public.agent_task_queue (issue_id);
create index on public.task_usage (created_at);

create function public.touch() returns trigger language plpgsql as $$ begin new.updated_at := now(); return new; end $$;
create trigger touch before update on public.task_usage for each row execute function public.touch();
