-- Capture: AFTER triggers on the four source tables that a contribution depends on log images of the rows as they were (minus) and as they are (plus).
-- Takes SHARE ROW EXCLUSIVE on each source table for milliseconds.
--
-- Invariant (I2): images are written in the transaction that changed the source row. Capture reads no other row and takes no lock: it cannot be
-- late, misled by an old snapshot, deadlocked, or in anybody's way.
-- Invariant (I3): nothing depends on order. Change tables are signed multisets; images that cancel, cancel.
-- Any number of writers may run in any isolation level: each appends rows of its own.

create table tallybook.usage_change (
  task_id uuid,
  provider text collate "C",
  model text collate "C",
  happened_at timestamptz,
  input_tokens numeric not null,
  output_tokens numeric not null,
  cache_read_tokens numeric not null,
  cache_write_tokens numeric not null,
  cache_write_1h_tokens numeric not null,
  cost_usd_ticks numeric,
  event_count bigint not null,
  xid xid8 not null default pg_current_xact_id(),
  captured_at timestamptz not null default clock_timestamp()
);
comment on table tallybook.usage_change is
  'Signed images of task_usage rows that are not folded yet, with key parts as they were written. A null cost means rows for which no provider named one.';

create table tallybook.task_change (
  task_id uuid not null,
  agent_id uuid,
  runtime_id uuid,
  issue_id uuid,
  sign smallint not null,
  xid xid8 not null default pg_current_xact_id(),
  captured_at timestamptz not null default clock_timestamp()
);
comment on table tallybook.task_change is 'Signed images of agent_task_queue rows that are not folded yet.';

create table tallybook.agent_change (
  agent_id uuid not null,
  workspace_id uuid,
  sign smallint not null,
  xid xid8 not null default pg_current_xact_id(),
  captured_at timestamptz not null default clock_timestamp()
);
comment on table tallybook.agent_change is 'Signed images of agent rows that are not folded yet.';

create table tallybook.issue_change (
  issue_id uuid not null,
  project_id uuid,
  sign smallint not null,
  xid xid8 not null default pg_current_xact_id(),
  captured_at timestamptz not null default clock_timestamp()
);
comment on table tallybook.issue_change is 'Signed images of issue rows that are not folded yet.';

-- Append-only queues that are emptied all the time: found by their writer's transaction, vacuumed early, and publishable by a host that publishes all tables.
do $$
declare
  queue text;
begin
  foreach queue in array array['usage_change', 'task_change', 'agent_change', 'issue_change'] loop
    execute format('create index %s_xid on tallybook.%s (xid)', queue, queue);
    execute format('alter table tallybook.%s replica identity full', queue);
    execute format('alter table tallybook.%s set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000,
      autovacuum_vacuum_insert_threshold = -1, autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 50000)', queue);
    execute format('comment on column tallybook.%s.xid is %L', queue, 'The transaction that wrote the row.');
    execute format('comment on column tallybook.%s.captured_at is %L', queue, 'When it was written, by the database''s clock.');
  end loop;
end $$;

create function tallybook.capture_task() returns trigger
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if tg_op <> 'INSERT' then
    insert into tallybook.task_change (task_id, agent_id, runtime_id, issue_id, sign) values (old.id, old.agent_id, old.runtime_id, old.issue_id, -1);
  end if;
  if tg_op <> 'DELETE' then
    insert into tallybook.task_change (task_id, agent_id, runtime_id, issue_id, sign) values (new.id, new.agent_id, new.runtime_id, new.issue_id, 1);
  end if;
  return null;
end $$;
comment on function tallybook.capture_task is 'Logs what decides the key of a task''s usage.';

create function tallybook.capture_agent() returns trigger
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if tg_op <> 'INSERT' then
    insert into tallybook.agent_change (agent_id, workspace_id, sign) values (old.id, old.workspace_id, -1);
  end if;
  if tg_op <> 'DELETE' then
    insert into tallybook.agent_change (agent_id, workspace_id, sign) values (new.id, new.workspace_id, 1);
  end if;
  return null;
end $$;
comment on function tallybook.capture_agent is 'Logs which workspace an agent''s usage belongs to.';

create function tallybook.capture_issue() returns trigger
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if tg_op <> 'INSERT' then
    insert into tallybook.issue_change (issue_id, project_id, sign) values (old.id, old.project_id, -1);
  end if;
  if tg_op <> 'DELETE' then
    insert into tallybook.issue_change (issue_id, project_id, sign) values (new.id, new.project_id, 1);
  end if;
  return null;
end $$;
comment on function tallybook.capture_issue is 'Logs which project an issue''s usage belongs to.';

create function tallybook.refuse_truncate() returns trigger
  language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  raise exception 'TRUNCATE of %.% is refused: it is not transactional, so rollups could not follow it exactly', tg_table_schema, tg_table_name
    using errcode = 'feature_not_supported', hint = 'Use DELETE.';
end $$;
comment on function tallybook.refuse_truncate is 'Refuses TRUNCATE, which takes rows away from older snapshots too.';

create trigger tallybook_insert after insert on public.agent_task_queue for each row execute function tallybook.capture_task();
create trigger tallybook_update after update on public.agent_task_queue for each row
  when (old.id is distinct from new.id or old.runtime_id is distinct from new.runtime_id
    or old.agent_id is distinct from new.agent_id or old.issue_id is distinct from new.issue_id)
  execute function tallybook.capture_task();
create trigger tallybook_delete after delete on public.agent_task_queue for each row execute function tallybook.capture_task();

create trigger tallybook_insert after insert on public.agent for each row execute function tallybook.capture_agent();
create trigger tallybook_update after update on public.agent for each row
  when (old.id is distinct from new.id or old.workspace_id is distinct from new.workspace_id)
  execute function tallybook.capture_agent();
create trigger tallybook_delete after delete on public.agent for each row execute function tallybook.capture_agent();

create trigger tallybook_insert after insert on public.issue for each row execute function tallybook.capture_issue();
create trigger tallybook_update after update on public.issue for each row
  when (old.id is distinct from new.id or old.project_id is distinct from new.project_id)
  execute function tallybook.capture_issue();
create trigger tallybook_delete after delete on public.issue for each row execute function tallybook.capture_issue();

create trigger tallybook_truncate before truncate on public.task_usage for each statement execute function tallybook.refuse_truncate();
create trigger tallybook_truncate before truncate on public.agent_task_queue for each statement execute function tallybook.refuse_truncate();
create trigger tallybook_truncate before truncate on public.agent for each statement execute function tallybook.refuse_truncate();
create trigger tallybook_truncate before truncate on public.issue for each statement execute function tallybook.refuse_truncate();

-- Usage comes in two forms with one meaning: statement-level triggers are cheaper for batches, row-level ones for single rows
-- (and work on partitions, and where logical replication applies the changes).
create function tallybook.capture_usage_by(form text) returns void
  language plpgsql set search_path = pg_catalog, pg_temp set client_min_messages = warning as $generator$
declare
  counts constant text[] := tallybook.token_measures();
  columns constant text := 'task_id, provider, model, happened_at, ' || array_to_string(counts, ', ') || ', cost_usd_ticks, event_count';
begin
  if form is null or form not in ('statement', 'row') then
    raise exception 'usage is captured by ''statement'' or by ''row'', not by %', quote_nullable(form) using errcode = 'invalid_parameter_value';
  end if;
  drop trigger if exists tallybook_insert on public.task_usage;
  drop trigger if exists tallybook_update on public.task_usage;
  drop trigger if exists tallybook_delete on public.task_usage;

  execute format($function$
    create or replace function tallybook.capture_usage() returns trigger
      language plpgsql security definer set search_path = pg_catalog, pg_temp as $body$
    begin
      %s
      return null;
    end $body$
  $function$, case form when 'statement' then
    format($body$
      if tg_op = 'INSERT' then
        insert into tallybook.usage_change (%1$s) select %2$s, 1 from new_rows r;
      elsif tg_op = 'DELETE' then
        insert into tallybook.usage_change (%1$s) select %3$s, %4$s, -1 from old_rows r;
      else
        -- both images of every row, summed where they share a key; nothing where nothing changed
        insert into tallybook.usage_change (%1$s)
        select i.task_id, i.provider, i.model, i.happened_at, %5$s, sum(i.sign * i.cost_usd_ticks), sum(i.sign)
        from (select 1 as sign, %2$s from new_rows r union all select -1, %2$s from old_rows r) i
        group by i.task_id, i.provider, i.model, i.happened_at, i.cost_usd_ticks is null
        having sum(i.sign) <> 0 or sum(i.sign * i.cost_usd_ticks) <> 0 or %6$s;
      end if;$body$,
      columns,
      tallybook.usage_image('r'),
      tallybook.usage_key_image('r'),
      tallybook.each('-{}', tallybook.usage_measure_images('r')),
      tallybook.each('sum(i.sign * i.{})', counts),
      tallybook.each('sum(i.sign * i.{}) <> 0', counts, ' or '))
  else
    format($body$
      if tg_op = 'UPDATE' and %5$s then
        -- both images share a key: their difference; nothing where nothing changed
        if %6$s then
          insert into tallybook.usage_change (%1$s) select %2$s, %7$s, 0;
        end if;
        return null;
      end if;
      if tg_op <> 'INSERT' then
        insert into tallybook.usage_change (%1$s) select %3$s, %4$s, -1;
      end if;
      if tg_op <> 'DELETE' then
        insert into tallybook.usage_change (%1$s) select %2$s, %8$s, 1;
      end if;$body$,
      columns,
      tallybook.usage_key_image('new'),
      tallybook.usage_key_image('old'),
      tallybook.each('-{}', tallybook.usage_measure_images('old')),
      tallybook.each('new.{} is not distinct from old.{}', array['task_id', 'provider::text collate "C"', 'model::text collate "C"', 'created_at'], ' and ')
        || (select coalesce(string_agg(format(' and (new.%1$s is null) = (old.%1$s is null)', name), ''), '')
            from tallybook.usage_columns() where is_present and name = 'cost_usd_ticks'),
      (select format('(%s) is distinct from (%s)', string_agg('new.' || name, ', '), string_agg('old.' || name, ', '))
       from tallybook.usage_columns() where is_present),
      (select string_agg(after || ' - ' || before, ', ')
       from unnest(tallybook.usage_measure_images('new'), tallybook.usage_measure_images('old')) as measure (after, before)),
      array_to_string(tallybook.usage_measure_images('new'), ', '))
  end);
  comment on function tallybook.capture_usage is 'Logs what rows of usage contribute, at their task.';

  execute format('create trigger tallybook_insert after insert on public.task_usage %s execute function tallybook.capture_usage()',
    case form when 'statement' then 'referencing new table as new_rows for each statement' else 'for each row' end);
  execute format('create trigger tallybook_update after update on public.task_usage %s execute function tallybook.capture_usage()',
    case form when 'statement' then 'referencing new table as new_rows old table as old_rows for each statement' else 'for each row' end);
  execute format('create trigger tallybook_delete after delete on public.task_usage %s execute function tallybook.capture_usage()',
    case form when 'statement' then 'referencing old table as old_rows for each statement' else 'for each row' end);
end $generator$;
comment on function tallybook.capture_usage_by is
  'Installs the capture of usage, by ''statement'' or by ''row''. Takes SHARE ROW EXCLUSIVE on public.task_usage: no change slips between the two.';

select tallybook.capture_usage_by('statement');

create function tallybook.capture_faults() returns setof text
  language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select format(case when t.oid is null then 'trigger %s on public.%s is missing' else 'trigger %s on public.%s is disabled' end, name, source)
  from unnest(array['task_usage', 'agent_task_queue', 'agent', 'issue'],
              array['capture_usage', 'capture_task', 'capture_agent', 'capture_issue']) as captured (source, function)
  cross join unnest(array['tallybook_insert', 'tallybook_update', 'tallybook_delete', 'tallybook_truncate']) as name
  left join pg_trigger t on t.tgrelid = to_regclass('public.' || source) and t.tgname = name
    and t.tgfoid = to_regproc('tallybook.' || case name when 'tallybook_truncate' then 'refuse_truncate' else function end)
  where t.oid is null or t.tgenabled not in ('O', 'A')
  order by source, name
$$;
comment on function tallybook.capture_faults is 'Why capture cannot be trusted: triggers that are missing or disabled. No row when all is well.';

revoke all on all functions in schema tallybook from public;
