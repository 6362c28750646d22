-- Tables that grew by themselves: no foreign keys, no index but the primary keys, times without zone, providers of an enum, counts of every type, nulls in them.
create type public.vendor as enum ('Claude', 'openai', 'Gemini');
create domain public.tokens as numeric(20, 2);
create domain public.key as uuid;
create table public.workspace (id uuid primary key, name text);
create table public.agent_runtime (id uuid primary key, workspace_id uuid, name text);
create table public.agent (id public.key primary key, workspace_id public.key, name text);
create table public.project (id uuid primary key, workspace_id uuid, title text);
create table public.issue (id uuid primary key, workspace_id uuid, title text, project_id uuid);
create table public.agent_task_queue (id uuid primary key, agent_id public.key, issue_id uuid, runtime_id uuid, note text);
create table public.task_usage (
  id uuid primary key,
  created_at timestamp,
  model character varying(80),
  task_id public.key,
  provider public.vendor,
  input_tokens public.tokens,
  output_tokens double precision,
  cache_read_tokens real,
  cache_write_tokens smallint,
  cache_write_1h_tokens integer,
  cost_usd_ticks numeric
);
