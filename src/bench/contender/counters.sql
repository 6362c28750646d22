-- Synchronous counters: whoever writes usage adds to the rollup's row in the same transaction. Room is left on each page, so that an update of a
-- counter stays on it. A task that moves takes its usage along; one that is deleted takes it away before the cascade hides whose it was.
create table public.usage_daily (
  bucket_date date not null,
  workspace_id uuid not null,
  runtime_id uuid,
  provider text not null,
  model text not null,
  input_tokens bigint not null,
  output_tokens bigint not null,
  cache_read_tokens bigint not null,
  cache_write_tokens bigint not null,
  event_count bigint not null,
  unique nulls not distinct (runtime_id, bucket_date, workspace_id, provider, model)
) with (fillfactor = 50);

create function public.count_usage(day date, agent uuid, runtime uuid, usage public.task_usage, sign bigint) returns void language sql as $$
  insert into public.usage_daily as d
  select day, a.workspace_id, runtime, usage.provider, usage.model, sign * usage.input_tokens, sign * usage.output_tokens, sign * usage.cache_read_tokens,
    sign * usage.cache_write_tokens, sign
  from public.agent a where a.id = agent
  on conflict (runtime_id, bucket_date, workspace_id, provider, model) do update
  set input_tokens = d.input_tokens + excluded.input_tokens, output_tokens = d.output_tokens + excluded.output_tokens,
    cache_read_tokens = d.cache_read_tokens + excluded.cache_read_tokens, cache_write_tokens = d.cache_write_tokens + excluded.cache_write_tokens,
    event_count = d.event_count + excluded.event_count
$$;

create function public.count_usage_row() returns trigger language plpgsql as $$
declare
  task record;
begin
  if tg_op <> 'INSERT' then
    select agent_id, runtime_id into task from public.agent_task_queue where id = old.task_id;
    if found then
      if tg_op = 'UPDATE' and (new.task_id, new.provider, new.model, (new.created_at at time zone 'UTC')::date)
        = (old.task_id, old.provider, old.model, (old.created_at at time zone 'UTC')::date)
      then
        -- the usual correction stays in its bucket: one update of one row
        update public.usage_daily d
        set input_tokens = d.input_tokens + new.input_tokens - old.input_tokens, output_tokens = d.output_tokens + new.output_tokens - old.output_tokens,
          cache_read_tokens = d.cache_read_tokens + new.cache_read_tokens - old.cache_read_tokens,
          cache_write_tokens = d.cache_write_tokens + new.cache_write_tokens - old.cache_write_tokens
        from public.agent a
        where a.id = task.agent_id and (d.bucket_date, d.workspace_id, d.provider, d.model)
          = ((old.created_at at time zone 'UTC')::date, a.workspace_id, old.provider, old.model) and d.runtime_id is not distinct from task.runtime_id;
        return null;
      end if;
      perform public.count_usage((old.created_at at time zone 'UTC')::date, task.agent_id, task.runtime_id, old, -1);
    end if;
  end if;
  if tg_op <> 'DELETE' then
    select agent_id, runtime_id into task from public.agent_task_queue where id = new.task_id;
    perform public.count_usage((new.created_at at time zone 'UTC')::date, task.agent_id, task.runtime_id, new, 1);
  end if;
  return null;
end $$;
create trigger count_usage after insert or update or delete on public.task_usage for each row execute function public.count_usage_row();

create function public.count_task() returns trigger language plpgsql as $$
begin
  perform public.count_usage((u.created_at at time zone 'UTC')::date, old.agent_id, old.runtime_id, u, -1) from public.task_usage u where u.task_id = old.id;
  if tg_op = 'DELETE' then
    return old;
  end if;
  perform public.count_usage((u.created_at at time zone 'UTC')::date, new.agent_id, new.runtime_id, u, 1) from public.task_usage u where u.task_id = new.id;
  return new;
end $$;
create trigger count_moved before update on public.agent_task_queue for each row
  when ((old.agent_id, old.runtime_id) is distinct from (new.agent_id, new.runtime_id)) execute function public.count_task();
create trigger count_deleted before delete on public.agent_task_queue for each row execute function public.count_task()
