-- The usual design: a daily rollup that is recomputed, bucket by bucket, for what was updated since a watermark or queued as dirty.
create table public.task_usage_daily (
  bucket_date date not null,
  workspace_id uuid not null,
  runtime_id uuid not null,
  provider text not null,
  model text not null,
  input_tokens bigint not null default 0,
  output_tokens bigint not null default 0,
  cache_read_tokens bigint not null default 0,
  cache_write_tokens bigint not null default 0,
  event_count bigint not null default 0,
  updated_at timestamptz not null default now(),
  primary key (bucket_date, workspace_id, runtime_id, provider, model)
);
create index idx_task_usage_daily_runtime on public.task_usage_daily (runtime_id, bucket_date desc);
create index idx_task_usage_daily_workspace on public.task_usage_daily (workspace_id, bucket_date desc);

create table public.task_usage_daily_dirty (
  bucket_date date not null,
  workspace_id uuid not null,
  runtime_id uuid not null,
  provider text not null,
  model text not null,
  enqueued_at timestamptz not null default now(),
  primary key (bucket_date, workspace_id, runtime_id, provider, model)
);
create index idx_task_usage_daily_dirty_enqueued on public.task_usage_daily_dirty (enqueued_at);

create table public.task_usage_rollup_state (
  id integer primary key check (id = 1),
  watermark_at timestamptz not null default '1970-01-01 00:00+00',
  last_run_started_at timestamptz,
  last_run_finished_at timestamptz,
  last_run_rows bigint,
  last_error text
);
insert into public.task_usage_rollup_state (id) values (1);

create index idx_task_usage_updated_at on public.task_usage (updated_at);
-- the time has an index already
create index idx_task_usage_created_at_unset on public.task_usage (created_at) where updated_at is null;

create function public.mark_task_dirty() returns trigger language plpgsql as $$
begin
  insert into public.task_usage_daily_dirty (bucket_date, workspace_id, runtime_id, provider, model)
  select distinct date(u.created_at), a.workspace_id, r.runtime_id, u.provider, u.model
  from public.task_usage u
  join public.agent a on a.id = old.agent_id
  cross join lateral (values (old.runtime_id), (case when tg_op = 'UPDATE' then new.runtime_id end)) as r (runtime_id)
  where u.task_id = old.id and r.runtime_id is not null
  on conflict (bucket_date, workspace_id, runtime_id, provider, model) do update set enqueued_at = excluded.enqueued_at;
  if tg_op = 'DELETE' then
    return old;
  end if;
  return new;
end $$;
create trigger trg_atq_dirty_rollup before update of runtime_id or delete on public.agent_task_queue
  for each row execute function public.mark_task_dirty();

create function public.mark_usage_dirty() returns trigger language plpgsql as $$
begin
  insert into public.task_usage_daily_dirty (bucket_date, workspace_id, runtime_id, provider, model)
  select date(old.created_at), a.workspace_id, t.runtime_id, old.provider, old.model
  from public.agent_task_queue t
  join public.agent a on a.id = t.agent_id
  where t.id = old.task_id and t.runtime_id is not null
  on conflict (bucket_date, workspace_id, runtime_id, provider, model) do update set enqueued_at = excluded.enqueued_at;
  return old;
end $$;
create trigger trg_tu_dirty_rollup before delete on public.task_usage for each row execute function public.mark_usage_dirty();

create function public.rollup_task_usage_daily_window(p_from timestamptz, p_to timestamptz) returns bigint language plpgsql as $$
declare
  touched bigint;
begin
  with
    -- each arm by an index of its own
    updated as (
      select task_id, created_at, provider, model from public.task_usage where updated_at >= p_from and updated_at < p_to
      union all
      select task_id, created_at, provider, model from public.task_usage where updated_at is null and created_at >= p_from and created_at < p_to),
    dirty as (
      select date(u.created_at) as bucket_date, a.workspace_id, t.runtime_id, u.provider, u.model
      from updated u
      join public.agent_task_queue t on t.id = u.task_id
      join public.agent a on a.id = t.agent_id
      where t.runtime_id is not null
      union
      select bucket_date, workspace_id, runtime_id, provider, model from public.task_usage_daily_dirty where enqueued_at < p_to),
    fresh as (
      select d.bucket_date, d.workspace_id, d.runtime_id, d.provider, d.model, sum(u.input_tokens) as input_tokens, sum(u.output_tokens) as output_tokens,
        sum(u.cache_read_tokens) as cache_read_tokens, sum(u.cache_write_tokens) as cache_write_tokens, count(*) as event_count
      from dirty d
      join public.agent_task_queue t on t.runtime_id = d.runtime_id
      join public.agent a on a.id = t.agent_id and a.workspace_id = d.workspace_id
      join public.task_usage u on u.task_id = t.id and date(u.created_at) = d.bucket_date and u.provider = d.provider and u.model = d.model
      group by d.bucket_date, d.workspace_id, d.runtime_id, d.provider, d.model),
    written as (
      insert into public.task_usage_daily as s (
        bucket_date, workspace_id, runtime_id, provider, model, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, event_count)
      select bucket_date, workspace_id, runtime_id, provider, model, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, event_count
      from fresh
      on conflict (bucket_date, workspace_id, runtime_id, provider, model) do update
      set input_tokens = excluded.input_tokens, output_tokens = excluded.output_tokens, cache_read_tokens = excluded.cache_read_tokens,
        cache_write_tokens = excluded.cache_write_tokens, event_count = excluded.event_count, updated_at = now()
      returning 1),
    emptied as (
      delete from public.task_usage_daily s using dirty d
      where (s.bucket_date, s.workspace_id, s.runtime_id, s.provider, s.model) = (d.bucket_date, d.workspace_id, d.runtime_id, d.provider, d.model)
        and not exists (
          select from fresh f
          where (f.bucket_date, f.workspace_id, f.runtime_id, f.provider, f.model) = (d.bucket_date, d.workspace_id, d.runtime_id, d.provider, d.model))
      returning 1)
  select (select count(*) from written) + (select count(*) from emptied) into touched;
  delete from public.task_usage_daily_dirty where enqueued_at < p_to;
  return touched;
end $$;

create function public.rollup_task_usage_daily() returns bigint language plpgsql as $$
declare
  since timestamptz;
  until constant timestamptz := now() - interval '5 minutes';
  touched bigint;
begin
  if not pg_try_advisory_lock(4242) then
    return 0;
  end if;
  update public.task_usage_rollup_state set last_run_started_at = clock_timestamp() where id = 1 returning watermark_at into since;
  touched := public.rollup_task_usage_daily_window(since, until);
  update public.task_usage_rollup_state
  set watermark_at = until, last_run_finished_at = clock_timestamp(), last_run_rows = touched, last_error = null where id = 1;
  perform pg_advisory_unlock(4242);
  return touched;
end $$
