-- Capture: AFTER triggers on the tables that a contribution depends on, four source tables and what is sealed, log images of the rows as they were (minus) and as they are (plus).
-- Takes SHARE ROW EXCLUSIVE on each source table of our own, for milliseconds. On adopted ones `tallybook migrate up --adopt` installs the triggers when all
-- migrations are applied, each table in a transaction of its own.
--
-- Invariant (I2): images are written in the transaction that changed the source row. Capture reads no other row and takes no lock: it cannot be
-- late, misled by an old snapshot, deadlocked, or in anybody's way.
-- Invariant (I3): nothing depends on order. Change tables are signed multisets; images that cancel, cancel.
-- Any number of writers may run in any isolation level: each appends rows of its own.
--
-- Invariant: in a trigger's function every name and operator says its schema. So it needs no search path of its own, which would cost each row of the
-- writer's as much as all the rest, and nothing that the writer calls the same can run with its owner's rights.

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
  task_id uuid,
  agent_id uuid,
  runtime_id uuid,
  issue_id uuid,
  sign smallint not null,
  xid xid8 not null default pg_current_xact_id(),
  captured_at timestamptz not null default clock_timestamp()
);
comment on table tallybook.task_change is 'Signed images of agent_task_queue rows that are not folded yet.';

create table tallybook.agent_change (
  agent_id uuid,
  workspace_id uuid,
  sign smallint not null,
  xid xid8 not null default pg_current_xact_id(),
  captured_at timestamptz not null default clock_timestamp()
);
comment on table tallybook.agent_change is 'Signed images of agent rows that are not folded yet.';

create table tallybook.issue_change (
  issue_id uuid,
  project_id uuid,
  sign smallint not null,
  xid xid8 not null default pg_current_xact_id(),
  captured_at timestamptz not null default clock_timestamp()
);
comment on table tallybook.issue_change is 'Signed images of issue rows that are not folded yet.';

do $$
begin
  execute format($sql$
    create table tallybook.sealed_change (
      bucket_start timestamptz not null, workspace_id uuid not null, runtime_id uuid, agent_id uuid not null, project_id uuid,
      provider text collate "C" not null, model text collate "C" not null, %s, event_count bigint not null,
      xid xid8 not null default pg_current_xact_id(), captured_at timestamptz not null default clock_timestamp())
    $sql$, tallybook.each('{} numeric not null', (tallybook.measures())[1:11]));
end $$;
comment on table tallybook.sealed_change is 'Signed sums of sealed usage that are not folded yet. Their keys are final.';

-- Append-only queues that are emptied all the time: found by their writer's transaction, vacuumed early, and publishable by a host that publishes all tables.
do $$
declare
  queue text;
begin
  foreach queue in array array['usage_change', 'task_change', 'agent_change', 'issue_change', 'sealed_change'] loop
    execute format('create index %s_xid on tallybook.%s (xid)', queue, queue);
    execute format('alter table tallybook.%s replica identity full', queue);
    execute format('alter table tallybook.%s set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000,
      autovacuum_vacuum_insert_threshold = -1, autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 50000)', queue);
    execute format('comment on column tallybook.%s.xid is %L', queue, 'The transaction that wrote the row.');
    execute format('comment on column tallybook.%s.captured_at is %L', queue, 'When it was written, by the database''s clock.');
  end loop;
end $$;

-- Where the source tables are somebody else's, their columns may be renamed or dropped while we look away. No write may fail for that: whoever cannot read
-- them says so, in the same transaction, and nothing is folded or shown from then on that was not captured.
create table tallybook.capture_break (
  source text not null,
  message text not null,
  xid xid8 not null default pg_current_xact_id(),
  noted_at timestamptz not null default clock_timestamp()
);
create index capture_break_xid on tallybook.capture_break (xid);
alter table tallybook.capture_break replica identity full;
comment on table tallybook.capture_break is
  'Transactions that changed an adopted table in a way that was not captured, until the columns are found again and all days are read from raw. Empty when all is well.';
comment on column tallybook.capture_break.source is 'The table, in schema public.';
comment on column tallybook.capture_break.message is 'Why not.';
comment on column tallybook.capture_break.xid is 'The transaction; each says it once a table.';
comment on column tallybook.capture_break.noted_at is 'When, by the database''s clock.';

create function tallybook.note_break(broken_source text, reason text) returns void
  language sql security definer set search_path = pg_catalog, pg_temp
  begin atomic
    insert into tallybook.capture_break (source, message)
    select broken_source, reason
    where not exists (select from tallybook.capture_break b where b.xid = pg_current_xact_id() and b.source = broken_source);
  end;
comment on function tallybook.note_break is 'Says that this transaction changed a table in a way that could not be captured.';

-- How a trigger's function reads columns that may be gone: a failure in there has written nothing, and so uses up no transaction id.
create function tallybook.guarded(reading text, guarded_source text) returns text
  language sql immutable parallel safe
  return pg_catalog.format($body$begin
          %s
        exception when others then
          perform tallybook.note_break(%L, sqlerrm);
          return null;
        end;$body$, reading, guarded_source);
comment on function tallybook.guarded is 'PL/pgSQL: reads columns of an adopted table, or notes that they cannot be read, and ends the trigger''s function.';

create function tallybook.define_capture_of_keys() returns void
  language plpgsql set search_path = pg_catalog, pg_temp as $generator$
declare
  is_adopted constant boolean := tallybook.is_adopted();
  logged record;
begin
  for logged in
    select x.*,
      array(select tallybook.column_of('old', source, c) from unnest(names) with ordinality as l (c, n) order by n) as old_images,
      array(select tallybook.column_of('new', source, c) from unnest(names) with ordinality as l (c, n) order by n) as new_images,
      array(select tallybook.column_of('r', source, c) from unnest(names) with ordinality as l (c, n) order by n) as images
    from (values
      ('capture_task', 'agent_task_queue', 'task_change', array['task_id', 'agent_id', 'runtime_id', 'issue_id'], array['id', 'agent_id', 'runtime_id', 'issue_id'],
        'Logs what decides the key of a task''s usage.'),
      ('capture_agent', 'agent', 'agent_change', array['agent_id', 'workspace_id'], array['id', 'workspace_id'],
        'Logs which workspace an agent''s usage belongs to.'),
      ('capture_issue', 'issue', 'issue_change', array['issue_id', 'project_id'], array['id', 'project_id'],
        'Logs which project an issue''s usage belongs to.')) as x (function, source, changes, columns, names, comment)
  loop
    execute format($function$
      create or replace function tallybook.%1$s() returns trigger
        language plpgsql security definer as $body$
      %7$s
      begin
        %8$s
        if tg_op operator(pg_catalog.=) 'UPDATE' then
          insert into tallybook.%2$s (%3$s, sign) values (%4$s, -1), (%5$s, 1);
        elsif tg_op operator(pg_catalog.=) 'INSERT' then
          insert into tallybook.%2$s (%3$s, sign) values (%5$s, 1);
        elsif tg_level operator(pg_catalog.=) 'ROW' then
          insert into tallybook.%2$s (%3$s, sign) values (%4$s, -1);
        else
          insert into tallybook.%2$s (%3$s, sign) select %6$s, -1 from old_rows r;
        end if;
        return null;
      end $body$
    $function$,
    logged.function,
    logged.changes,
    array_to_string(logged.columns, ', '),
    case when is_adopted then tallybook.each('old_{}', logged.columns) else array_to_string(logged.old_images, ', ') end,
    case when is_adopted then tallybook.each('new_{}', logged.columns) else array_to_string(logged.new_images, ', ') end,
    array_to_string(logged.images, ', '),
    case when is_adopted then 'declare ' || tallybook.each('old_{} pg_catalog.uuid; new_{} pg_catalog.uuid;', logged.columns, ' ') end,
    case when is_adopted then tallybook.guarded(format($reading$if tg_level operator(pg_catalog.=) 'STATEMENT' then
            perform from (select %3$s from old_rows r) x limit 0;
          else
            if tg_op operator(pg_catalog.<>) 'INSERT' then
              %1$s
            end if;
            if tg_op operator(pg_catalog.<>) 'DELETE' then
              %2$s
            end if;
          end if;$reading$,
      (select string_agg(format('old_%s := %s;', c, image), ' ' order by n) from unnest(logged.columns, logged.old_images) with ordinality as l (c, image, n)),
      (select string_agg(format('new_%s := %s;', c, image), ' ' order by n) from unnest(logged.columns, logged.new_images) with ordinality as l (c, image, n)),
      array_to_string(logged.images, ', ')),
      logged.source) end);
    execute format('comment on function tallybook.%s is %L', logged.function, logged.comment);
  end loop;
end $generator$;
comment on function tallybook.define_capture_of_keys is 'Makes the functions that capture tasks, agents and issues.';
select tallybook.define_capture_of_keys();

do $generator$
declare
  columns constant text := 'bucket_start, workspace_id, runtime_id, agent_id, project_id, provider, model, ';
begin
  execute format($function$
    create function tallybook.capture_sealed() returns trigger
      language plpgsql security definer set search_path = pg_catalog, pg_temp as $body$
    begin
      if tg_op <> 'INSERT' then
        insert into tallybook.sealed_change (%1$s %2$s) select %1$s %3$s from old_rows;
      end if;
      if tg_op <> 'DELETE' then
        insert into tallybook.sealed_change (%1$s %2$s) select %1$s %2$s from new_rows;
      end if;
      return null;
    end $body$
  $function$, columns, array_to_string(tallybook.measures(), ', '), tallybook.each('-{}', tallybook.measures()));
end $generator$;
comment on function tallybook.capture_sealed is 'Logs what is sealed, and what is taken out of it.';

create function tallybook.refuse_truncate() returns trigger
  language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  raise exception 'TRUNCATE of %.% is refused: it is not transactional, so rollups could not follow it exactly', tg_table_schema, tg_table_name
    using errcode = 'feature_not_supported', hint = 'Use DELETE.';
end $$;
comment on function tallybook.refuse_truncate is 'Refuses TRUNCATE, which takes rows away from older snapshots too.';

create trigger tallybook_insert after insert on tallybook.sealed_usage referencing new table as new_rows
  for each statement execute function tallybook.capture_sealed();
create trigger tallybook_update after update on tallybook.sealed_usage referencing new table as new_rows old table as old_rows
  for each statement execute function tallybook.capture_sealed();
create trigger tallybook_delete after delete on tallybook.sealed_usage referencing old table as old_rows
  for each statement execute function tallybook.capture_sealed();
create trigger tallybook_truncate before truncate on tallybook.sealed_usage for each statement execute function tallybook.refuse_truncate();

-- The parts of the functions that capture usage.
create function tallybook.signed_usage_image(row_name text, sign integer) returns text
  language sql stable set search_path = pg_catalog, pg_temp
  return tallybook.usage_key_image(row_name) || ', '
    || tallybook.each(case sign when 1 then '{}' else 'operator(pg_catalog.-) {}' end, tallybook.usage_measure_images(row_name)) || ', ' || sign;
comment on function tallybook.signed_usage_image is 'SQL: what usage_change is to hold of a row that came (1) or went (-1).';

-- Of a table of our own: an adopted one is read under guard.
create function tallybook.usage_difference(insert_images text) returns text
  language sql stable set search_path = pg_catalog, pg_temp
  return (
    select format($body$if %1$s then
          -- both images share a key: their difference; nothing where nothing changed
          if not (%2$s) then
            %3$s select %4$s, %5$s, 0;
          end if;
        else
          %3$s select %6$s union all select %7$s;
        end if;$body$,
      tallybook.each('new.{} operator(pg_catalog.=) old.{}',
        array['task_id', 'provider::pg_catalog.text collate pg_catalog."C"', 'model::pg_catalog.text collate pg_catalog."C"', 'created_at'], ' and ')
        || coalesce(string_agg(format(' and (new.%1$s is null) operator(pg_catalog.=) (old.%1$s is null)', name), '') filter (where name = 'cost_usd_ticks'), ''),
      string_agg(format('coalesce(new.%1$s, 0) operator(pg_catalog.=) coalesce(old.%1$s, 0)', name), ' and '),
      insert_images,
      tallybook.usage_key_image('new'),
      (select string_agg(after || ' operator(pg_catalog.-) ' || before, ', ')
       from unnest(tallybook.usage_measure_images('new'), tallybook.usage_measure_images('old')) as measure (after, before)),
      tallybook.signed_usage_image('old', -1),
      tallybook.signed_usage_image('new', 1))
    from tallybook.usage_columns() where is_present);
comment on function tallybook.usage_difference is 'PL/pgSQL: logs how one row of usage changed.';

create function tallybook.usage_differences() returns text
  language sql stable set search_path = pg_catalog, pg_temp
  return (
    select format($body$
        -- both images of every row, summed where they share a key; nothing where nothing changed
        select i.task_id, i.provider, i.model, i.happened_at, %1$s, pg_catalog.sum(i.sign)
        from (
          select 1 as sign, %2$s, %3$s from new_rows r
          union all select -1, %2$s, %4$s from old_rows r) i
        group by i.task_id, i.provider, i.model, i.happened_at, i.cost_usd_ticks is null
        having pg_catalog.sum(i.sign) operator(pg_catalog.<>) 0 or %5$s;$body$,
      string_agg(total, ', ' order by position),
      tallybook.usage_key_image('r'),
      string_agg(image || ' as ' || name, ', ' order by position),
      string_agg(removed, ', ' order by position),
      string_agg(total || ' operator(pg_catalog.<>) 0', ' or '))
    from (
      -- Sums of whole numbers are the cheap ones. One is taken away as its complement, -1 - x, which does not overflow; its sum lacks 1 for each old row.
      select position, name, value as image,
        case when is_integer then '-1 operator(pg_catalog.-) ' else 'operator(pg_catalog.-) ' end || value as removed,
        case when is_integer then format('(pg_catalog.sum(i.%s) operator(pg_catalog.+) pg_catalog.count(*) filter (where i.sign operator(pg_catalog.<) 0))', name)
          else format('pg_catalog.sum(i.%s)', name) end as total
      from rows from (unnest(tallybook.usage_measure_images('r')), tallybook.usage_columns()) with ordinality
        as measure (numeric_image, name, is_present, is_integer, column_name, position)
      cross join lateral (
        select case when not is_integer then numeric_image when name = 'cost_usd_ticks' then 'r.' || column_name else format('coalesce(r.%s, 0)', column_name) end) v (value)) m);
comment on function tallybook.usage_differences is 'SQL: how the rows of usage changed that a statement updated.';

-- The same of two images that a guarded function holds, `was` and `became`, whatever the columns are called and counted in.
create function tallybook.image_difference(insert_images text) returns text
  language sql immutable parallel safe set search_path = pg_catalog, pg_temp
  return (
    select format($body$if %1$s and (became.cost_usd_ticks is null) operator(pg_catalog.=) (was.cost_usd_ticks is null) then
          if not (%2$s) then
            %3$s select %4$s, %5$s, 0;
          end if;
        else
          %3$s select %6$s, -1 union all select %7$s, 1;
        end if;$body$,
      tallybook.each('became.{} operator(pg_catalog.=) was.{}', key, ' and '),
      tallybook.each('coalesce(became.{}, 0) operator(pg_catalog.=) coalesce(was.{}, 0)', measures, ' and '),
      insert_images,
      tallybook.each('became.{}', key),
      tallybook.each('became.{} operator(pg_catalog.-) was.{}', measures),
      tallybook.each('was.{}', key) || ', ' || tallybook.each('operator(pg_catalog.-) was.{}', measures),
      tallybook.each('became.{}', key || measures))
    from (select array['task_id', 'provider', 'model', 'happened_at'], tallybook.token_measures() || array['cost_usd_ticks']) as image (key, measures));
comment on function tallybook.image_difference is 'PL/pgSQL: logs how one row of adopted usage changed.';

-- Each function serves triggers by statement, which are cheaper for many rows at once, and by row: cheaper for single rows, and all that there is where
-- partitions are written, or logical replication applies the changes. Both mean the same.
create function tallybook.define_capture_of_usage() returns void
  language plpgsql set search_path = pg_catalog, pg_temp as $generator$
declare
  columns constant text[] := array['task_id', 'provider', 'model', 'happened_at'] || tallybook.token_measures() || array['cost_usd_ticks', 'event_count'];
  insert_images constant text := format('insert into tallybook.usage_change (%s)', array_to_string(columns, ', '));
  is_adopted constant boolean := tallybook.is_adopted();
  form record;
begin
  for form in
    select event, case when is_adopted then 'declare was record; became record;' end as declared,
      -- what may find a column gone: of the rows of a statement it is planned, which is when that is noticed, and not executed
      case when is_adopted then tallybook.guarded(concat_ws(' ',
        case when event <> 'insert' then format('select %s into was;', tallybook.usage_image('old')) end,
        case when event <> 'delete' then format('select %s into became;', tallybook.usage_image('new')) end), 'task_usage') end as read_row,
      case when is_adopted then tallybook.guarded(format('perform from (select %s from %s_rows r) x limit 0;', tallybook.usage_image('r'), image), 'task_usage') end
        as read_rows,
      case
        when event = 'update' and is_adopted then tallybook.image_difference(insert_images)
        when event = 'update' then tallybook.usage_difference(insert_images)
        when event = 'insert' and is_adopted then format('%s select %s, 1;', insert_images, tallybook.each('became.{}', columns[1:10]))
        when event = 'delete' and is_adopted then format('%s select %s, %s, -1;', insert_images,
          tallybook.each('was.{}', columns[1:4]), tallybook.each('operator(pg_catalog.-) was.{}', columns[5:10]))
        else format('%s select %s;', insert_images, tallybook.signed_usage_image(image, sign))
      end as write_row,
      case
        when event = 'update' then insert_images || tallybook.usage_differences()
        else format('%s select %s from %s_rows r;', insert_images, tallybook.signed_usage_image('r', sign), image)
      end as write_rows
    from (values ('insert', 'new', 1), ('update', 'new', null), ('delete', 'old', -1)) as e (event, image, sign)
  loop
    execute format($function$
      create or replace function tallybook.capture_usage_%1$s() returns trigger
        language plpgsql security definer as $body$
      %2$s
      begin
        if tg_level operator(pg_catalog.=) 'ROW' then
          %3$s
          %4$s
        else
          %5$s
          %6$s
        end if;
        return null;
      end $body$
    $function$, form.event, form.declared, form.read_row, form.write_row, form.read_rows, form.write_rows);
    execute format('comment on function tallybook.capture_usage_%s is %L', form.event, 'Logs what rows of usage contribute, at their task.');
  end loop;
end $generator$;
comment on function tallybook.define_capture_of_usage is 'Makes the functions that capture usage.';

create function tallybook.is_replicated(source regclass) returns boolean
  language sql stable set search_path = pg_catalog, pg_temp
  begin atomic
    select exists (
      select from pg_subscription_rel s
      where s.srrelid = source or s.srrelid in (select p.relid from pg_partition_tree(source) p));
  end;
comment on function tallybook.is_replicated is 'Whether logical replication writes a table, or a partition of it.';

create function tallybook.needs_rows(source text) returns boolean
  language sql stable set search_path = pg_catalog, pg_temp
  begin atomic
    select c.relkind = 'p' or tallybook.is_replicated(c.oid) or exists (select from pg_inherits i where i.inhrelid = c.oid)
    from pg_class c
    where c.oid = to_regclass('public.' || source);
  end;
comment on function tallybook.needs_rows is 'Whether triggers by statement miss some of what is written to a source table.';

-- What is deleted is captured by statement where it can be: who deletes a task deletes, in statements of the server's own, all that hangs on it.
create function tallybook.is_captured_by_row(source text, event text, needs_rows boolean) returns boolean
  language sql stable set search_path = pg_catalog, pg_temp
  begin atomic
    select case when event = 'delete' then needs_rows else source <> 'task_usage' or i.usage_captured_by = 'row' end
    from tallybook.installation i;
  end;
comment on function tallybook.is_captured_by_row is 'How the triggers of a source table are made: by row, else by statement.';

create function tallybook.install_capture(source text, needs_rows boolean default null) returns void
  language plpgsql set search_path = pg_catalog, pg_temp set client_min_messages = warning as $generator$
declare
  target constant regclass := ('public.' || source)::regclass;
  -- what decides a key: other updates cost nothing
  condition constant text := case source
    when 'agent_task_queue' then 'old.{id} is distinct from new.{id} or old.{runtime_id} is distinct from new.{runtime_id}
      or old.{agent_id} is distinct from new.{agent_id} or old.{issue_id} is distinct from new.{issue_id}'
    when 'agent' then 'old.{id} is distinct from new.{id} or old.{workspace_id} is distinct from new.{workspace_id}'
    when 'issue' then 'old.{id} is distinct from new.{id} or old.{project_id} is distinct from new.{project_id}'
  end;
  function constant text := case source
    when 'task_usage' then 'capture_usage_%s' when 'agent_task_queue' then 'capture_task' when 'agent' then 'capture_agent' when 'issue' then 'capture_issue' end;
  partition regclass;
  event text;
begin
  foreach event in array array['insert', 'update', 'delete'] loop
    execute format('create or replace trigger tallybook_%1$s after %1$s on %2$s %3$s %4$s execute function tallybook.%5$s()', event, target,
      case
        when tallybook.is_captured_by_row(source, event, coalesce(needs_rows, tallybook.needs_rows(source))) then 'for each row'
        when event = 'insert' then 'referencing new table as new_rows for each statement'
        when event = 'update' then 'referencing new table as new_rows old table as old_rows for each statement'
        when event = 'delete' then 'referencing old table as old_rows for each statement'
      end,
      case when event = 'update' and condition is not null then 'when (' || (
        select string_agg(case when n % 2 = 1 then part else substring(tallybook.column_of('', source, part) from 2) end, '' order by n)
        from regexp_split_to_table(condition, '[{}]') with ordinality as x (part, n)) || ')' end,
      format(function, event));
  end loop;
  execute format('create or replace trigger tallybook_truncate before truncate on %s for each statement execute function tallybook.refuse_truncate()', target);
  -- who truncates a partition asks its own triggers alone
  for partition in select relid from pg_partition_tree(target) where level > 0 loop
    execute format('create or replace trigger tallybook_truncate before truncate on %s for each statement execute function tallybook.refuse_truncate()', partition);
  end loop;
  if tallybook.is_replicated(target) then
    execute format('alter table %s enable always trigger tallybook_insert, enable always trigger tallybook_update, enable always trigger tallybook_delete', target);
  end if;
end $generator$;
comment on function tallybook.install_capture is
  'Puts the triggers that capture its changes on a source table, or makes them anew. Takes SHARE ROW EXCLUSIVE on it and its partitions.';

create function tallybook.lacks_capture(source text) returns boolean
  language sql stable security definer set search_path = pg_catalog, pg_temp
  begin atomic
    select exists (
        select from unnest(array['insert', 'update', 'delete', 'truncate']) as event
        left join pg_trigger t on t.tgrelid = to_regclass('public.' || source) and t.tgname = 'tallybook_' || event
        where t.oid is null or t.tgenabled not in ('O', 'A')
          or (event <> 'truncate' and (t.tgtype & 1 = 1) <> tallybook.is_captured_by_row(source, event, tallybook.needs_rows(source)))
          or (event <> 'truncate' and t.tgenabled <> 'A' and tallybook.is_replicated(t.tgrelid)))
      or exists (
        select from pg_partition_tree(to_regclass('public.' || source)) p
        where p.level > 0 and not exists (
          select from pg_trigger t where t.tgrelid = p.relid and t.tgname = 'tallybook_truncate' and t.tgenabled in ('O', 'A')));
  end;
comment on function tallybook.lacks_capture is 'Whether install_capture would change anything.';

create function tallybook.capture_usage_by(form text) returns void
  language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if form is null or form not in ('statement', 'row') then
    raise exception 'usage is captured by ''statement'' or by ''row'', not by %', quote_nullable(form) using errcode = 'invalid_parameter_value';
  end if;
  update tallybook.installation set usage_captured_by = form;
  perform tallybook.install_capture('task_usage');
end $$;
comment on function tallybook.capture_usage_by is
  'Installs the capture of usage, by ''statement'' or by ''row''. Takes SHARE ROW EXCLUSIVE on public.task_usage: no change slips between the two.';

select tallybook.define_capture_of_usage();
select tallybook.install_capture(source)
from unnest(array['task_usage', 'agent_task_queue', 'agent', 'issue']) as source
where not tallybook.is_adopted();

create function tallybook.capture_faults() returns setof text
  language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select format(case when t.oid is null then 'trigger %s on %s is missing' else 'trigger %s on %s is disabled' end, name, source)
  from unnest(array['public.task_usage', 'public.agent_task_queue', 'public.agent', 'public.issue', 'tallybook.sealed_usage'],
              array['capture_usage_%s', 'capture_task', 'capture_agent', 'capture_issue', 'capture_sealed']) as captured (source, function)
  cross join unnest(array['insert', 'update', 'delete', 'truncate']) as event
  cross join lateral (select 'tallybook_' || event) trigger (name)
  left join pg_trigger t on t.tgrelid = to_regclass(source) and t.tgname = name
    and t.tgfoid = to_regproc('tallybook.' || case event when 'truncate' then 'refuse_truncate' else format(function, event) end)
  where t.oid is null or t.tgenabled not in ('O', 'A')
  union all
  -- it has become a partition since, or a subscription's
  select format('trigger %s on public.%s misses rows: run `%s`', t.tgname, source,
    case source when 'task_usage' then 'select tallybook.capture_usage_by(''row'')' else format('select tallybook.install_capture(%L)', source) end)
  from unnest(array['task_usage', 'agent_task_queue', 'agent', 'issue']) as source
  join pg_trigger t on t.tgrelid = to_regclass('public.' || source) and t.tgname in ('tallybook_insert', 'tallybook_update', 'tallybook_delete')
  where t.tgtype & 1 = 0 and tallybook.needs_rows(source) or t.tgenabled <> 'A' and tallybook.is_replicated(t.tgrelid)
  union all
  select format('changes of public.%s have not been captured since %s: %s', source,
    to_char(min(noted_at) at time zone 'UTC', 'YYYY-MM-DD HH24:MI "UTC"'), min(message))
  from tallybook.capture_break
  group by source
  order by 1
$$;
comment on function tallybook.capture_faults is
  'Why capture cannot be trusted: triggers that are missing, disabled or of the wrong kind, columns of adopted tables that were not found. No row when all is well.';

revoke all on all functions in schema tallybook from public;
