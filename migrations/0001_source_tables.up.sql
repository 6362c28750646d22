-- The source tables: who runs what, and the raw usage itself. A stand-alone installation has its own, made here. An adopted one has somebody
-- else's: then nothing is made.
-- Nothing but our own empty tables is locked; runs in milliseconds.

create table tallybook.installation (
  singleton boolean primary key default true check (singleton),
  is_adopted boolean not null,
  usage_captured_by text not null default 'statement' check (usage_captured_by in ('statement', 'row'))
);
alter table tallybook.installation replica identity full;
comment on table tallybook.installation is 'Whose the source tables are, and how their usage is captured: one row.';
comment on column tallybook.installation.is_adopted is
  'Whether the source tables were there before Tallybook: nothing of them is altered, and they stay when Tallybook goes.';
comment on column tallybook.installation.usage_captured_by is 'Whether usage is captured by statement or by row.';

create table tallybook.source_column (
  source text,
  name text,
  column_name text not null,
  relation oid not null,
  number smallint not null,
  primary key (source, name)
);
alter table tallybook.source_column replica identity full;
comment on table tallybook.source_column is 'Which columns of adopted source tables are read; empty when the tables are our own.';
comment on column tallybook.source_column.source is 'The table, in schema public.';
comment on column tallybook.source_column.name is 'What Tallybook calls the column.';
comment on column tallybook.source_column.column_name is 'What it was called when it was looked for last.';
comment on column tallybook.source_column.relation is
  'The table''s oid then: where it still is that, the number counts, else the name: after dump and restore, say.';
comment on column tallybook.source_column.number is 'The column''s number in the table, which a new name does not change.';

insert into tallybook.installation (is_adopted)
values (coalesce(current_setting('tallybook.adopt', true), '') = 'on');

do $make$
declare
  there text;
begin
  if (select is_adopted from tallybook.installation) then
    return;
  end if;
  select string_agg('public.' || name, ', ') into there
  from unnest(array['workspace', 'agent_runtime', 'agent', 'project', 'issue', 'agent_task_queue', 'task_usage']) as name
  where to_regclass('public.' || name) is not null;
  if there is not null then
    raise exception 'there is % already', there using errcode = 'duplicate_table',
      hint = 'Run `tallybook migrate up --adopt` to use the tables that are there; `tallybook adopt --check` says whether that can be done.';
  end if;

  create table public.workspace (
    id uuid primary key default gen_random_uuid(),
    name text not null,
    slug text not null unique,
    labels jsonb not null default '{}' check (jsonb_typeof(labels) = 'object'),
    created_at timestamptz not null default now(),
    deleted_at timestamptz
  );
  comment on table public.workspace is 'A tenant: the unit that tokens are bound to and that usage is billed to.';

  create table public.agent_runtime (
    id uuid primary key default gen_random_uuid(),
    workspace_id uuid not null references public.workspace on delete cascade,
    name text not null,
    provider text not null default '',
    labels jsonb not null default '{}' check (jsonb_typeof(labels) = 'object'),
    created_at timestamptz not null default now(),
    deleted_at timestamptz
  );
  create index agent_runtime_workspace on public.agent_runtime (workspace_id, name);
  comment on table public.agent_runtime is 'Where agents run: a machine, a container, a hosted service.';

  create table public.agent (
    id uuid primary key default gen_random_uuid(),
    workspace_id uuid not null references public.workspace on delete cascade,
    name text not null,
    runtime_id uuid references public.agent_runtime on delete restrict,
    labels jsonb not null default '{}' check (jsonb_typeof(labels) = 'object'),
    created_at timestamptz not null default now(),
    deleted_at timestamptz
  );
  create index agent_workspace on public.agent (workspace_id, name);
  create index agent_by_runtime on public.agent (runtime_id);
  comment on table public.agent is 'Who works. The workspace of usage is the agent''s, everywhere.';

  create table public.project (
    id uuid primary key default gen_random_uuid(),
    workspace_id uuid not null references public.workspace on delete cascade,
    title text not null,
    labels jsonb not null default '{}' check (jsonb_typeof(labels) = 'object'),
    created_at timestamptz not null default now(),
    deleted_at timestamptz
  );
  create index project_workspace on public.project (workspace_id, title);
  comment on table public.project is 'A group of issues.';

  create table public.issue (
    id uuid primary key default gen_random_uuid(),
    workspace_id uuid not null references public.workspace on delete cascade,
    title text not null,
    project_id uuid references public.project on delete set null,
    labels jsonb not null default '{}' check (jsonb_typeof(labels) = 'object'),
    created_at timestamptz not null default now(),
    deleted_at timestamptz
  );
  create index issue_workspace on public.issue (workspace_id, title);
  create index issue_by_project on public.issue (project_id);
  comment on table public.issue is 'What is worked on; its workspace may differ from that of the agents who work on it.';

  create table public.agent_task_queue (
    id uuid primary key default gen_random_uuid(),
    agent_id uuid not null references public.agent on delete cascade,
    issue_id uuid references public.issue on delete cascade,
    runtime_id uuid references public.agent_runtime on delete set null,
    status text not null default 'queued',
    failure_reason text,
    labels jsonb not null default '{}' check (jsonb_typeof(labels) = 'object'),
    created_at timestamptz not null default now(),
    started_at timestamptz,
    completed_at timestamptz,
    deleted_at timestamptz
  );
  create index agent_task_queue_by_agent on public.agent_task_queue (agent_id);
  create index agent_task_queue_by_issue on public.agent_task_queue (issue_id);
  create index agent_task_queue_by_runtime on public.agent_task_queue (runtime_id);
  comment on table public.agent_task_queue is 'One run of an agent. A null runtime is kept as unattributed, never dropped.';

  create table public.task_usage (
    id uuid primary key default gen_random_uuid(),
    task_id uuid not null references public.agent_task_queue on delete cascade,
    provider text not null,
    model text not null,
    event_key text not null default '',
    sequence bigint,
    input_tokens bigint not null default 0 check (input_tokens >= 0),
    output_tokens bigint not null default 0 check (output_tokens >= 0),
    cache_read_tokens bigint not null default 0 check (cache_read_tokens >= 0),
    cache_write_tokens bigint not null default 0 check (cache_write_tokens >= 0),
    cache_write_1h_tokens bigint not null default 0 check (cache_write_1h_tokens >= 0),
    cost_usd_ticks bigint check (cost_usd_ticks >= 0),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    unique (task_id, provider, model, event_key)
  );
  create index task_usage_created_at on public.task_usage (created_at);
  comment on table public.task_usage is 'Raw usage, the truth that every rollup equals.';
  comment on column public.task_usage.event_key is 'The caller''s own id of a single event; empty for a task''s running total.';
  comment on column public.task_usage.sequence is 'Order of a running total''s reports; one with a lower number than stored is stale.';
  comment on column public.task_usage.cost_usd_ticks is 'The provider''s own price in 1e-10 USD; null when it names none.';
  comment on column public.task_usage.created_at is 'When the usage happened.';
  comment on column public.task_usage.updated_at is 'When the row was last reported; nothing in Tallybook relies on it.';
end $make$;
