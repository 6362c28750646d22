-- Rollups: tables of sums, each made of one declaration; fold, backfill, rebuild and now-views are derived from it.
-- Only new objects in schema tallybook.
--
-- Invariant (I4): what is pending, and the removal of the change rows that it was computed from, are one statement, hence one snapshot.
-- Invariant (I5): backfill and rebuild replace whole days by the raw sums less what is pending, both of one snapshot, and leave the change rows alone.
-- Fold, backfill and rebuild are the only writers of rollups. Any number of workers may run them: each works in READ COMMITTED, in a transaction that
-- has written nothing, and takes first the fold lock and then ACCESS SHARE on the source tables, in statements of their own.

create table tallybook.rollup (
  name text primary key check (name ~ '^[a-z][a-z0-9_]{0,39}$'),
  bucket_width interval not null check (bucket_width in ('15 minutes', '30 minutes', '1 hour', '1 day')),
  dimensions text[] not null check (
    cardinality(dimensions) >= 2 and dimensions <@ array['workspace_id', 'runtime_id', 'agent_id', 'project_id', 'provider', 'model']),
  covered_from timestamptz not null check (covered_from = date_trunc('day', covered_from, 'UTC')),
  reads_raw boolean not null
);
alter table tallybook.rollup replica identity full;
comment on table tallybook.rollup is 'The declarations, and how far back each rollup is complete.';
comment on column tallybook.rollup.bucket_width is 'A day is a UTC day (bucket_date); other buckets are instants (bucket_start).';
comment on column tallybook.rollup.covered_from is 'From this UTC day on the rollup is complete; older days are read from raw. -infinity: all is covered.';
comment on column tallybook.rollup.reads_raw is 'Whether the now-view still has its raw arm.';

create table tallybook.fold_state (
  singleton boolean primary key default true check (singleton),
  last_run_started_at timestamptz,
  last_run_finished_at timestamptz,
  last_run_rows bigint,
  last_error text,
  last_error_at timestamptz
);
alter table tallybook.fold_state replica identity full;
insert into tallybook.fold_state default values;
comment on table tallybook.fold_state is 'What the last tick did: one row.';

-- Locks and preconditions ------------------------------------------------------------------------------------------------------------------------

create function tallybook.fold_lock_key() returns bigint
  language sql stable parallel safe set search_path = pg_catalog, pg_temp
  return (1413565516::bigint << 32) | 'tallybook'::regnamespace::oid::bigint;
comment on function tallybook.fold_lock_key is 'The key of the advisory transaction lock that every writer of rollups holds.';

create function tallybook.fold_lock_holder() returns text
  language sql stable security definer set search_path = pg_catalog, pg_temp
  return coalesce((
    select case
      when l.pid is null then format('prepared transaction %L', (
        select x.gid from pg_prepared_xacts x join pg_locks own on own.locktype = 'transactionid' and own.transactionid = x.transaction
        where own.pid is null and own.virtualtransaction = l.virtualtransaction))
      else format('backend %s (%s)', l.pid, coalesce(nullif(a.application_name, ''), 'no application name'))
    end
    from pg_locks l left join pg_stat_activity a on a.pid = l.pid
    where l.locktype = 'advisory' and l.granted and l.objsubid = 1
      and l.database = (select oid from pg_database where datname = current_database())
      and (l.classid::bigint << 32) | l.objid::bigint = tallybook.fold_lock_key()
    limit 1), 'nobody any more');
comment on function tallybook.fold_lock_holder is 'Who folds, backfills or rebuilds right now.';

create function tallybook.require_alone() returns void
  language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  if pg_trigger_depth() > 0 then
    raise exception 'rollups cannot be written from a trigger' using errcode = 'active_sql_transaction',
      hint = 'Call this function in a transaction of its own.';
  elsif pg_current_xact_id_if_assigned() is not null then
    raise exception 'rollups cannot be written in a transaction that has written something else' using errcode = 'active_sql_transaction',
      hint = 'Call this function in a transaction of its own.';
  elsif current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'rollups cannot be written in isolation level %', current_setting('transaction_isolation') using errcode = 'active_sql_transaction',
      hint = 'Call this function in a READ COMMITTED transaction.';
  end if;
end $$;
comment on function tallybook.require_alone is
  'Fails unless this is a READ COMMITTED transaction that has written nothing: others may see rows whose capture is still to come, or too old a snapshot.';

create function tallybook.lock_sources() returns void
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  fault text;
begin
  lock table public.task_usage, public.agent_task_queue, public.agent, public.issue in access share mode;
  select string_agg(f, '; ') into fault from tallybook.capture_faults() f;
  if fault is not null then
    raise exception 'capture is not intact: %', fault using errcode = 'object_not_in_prerequisite_state',
      hint = 'Restore the triggers, then run `tallybook verify` and `tallybook repair`.';
  end if;
end $$;
comment on function tallybook.lock_sources is 'Keeps the source tables from being rewritten until the transaction ends, and fails when they are not captured.';

create function tallybook.wait_for_fold_lock() returns void
  language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '30s' as $$
begin
  perform pg_advisory_xact_lock(tallybook.fold_lock_key());
exception when lock_not_available then
  raise exception 'rollups are being written by %', tallybook.fold_lock_holder() using errcode = 'lock_not_available', hint = 'Try again later.';
end $$;
comment on function tallybook.wait_for_fold_lock is 'Takes the fold lock, waiting for at most 30 seconds.';

-- What is derived from a declaration ---------------------------------------------------------------------------------------------------------------

create function tallybook.bucket_column(width interval) returns text
  language sql immutable parallel safe
  return case width when '1 day' then 'bucket_date' else 'bucket_start' end;
comment on function tallybook.bucket_column is 'The name of a rollup''s bucket column.';

create function tallybook.bucket_expression(width interval, quarter_hour text) returns text
  language sql immutable parallel safe
  return case width
    when '1 day' then '(' || quarter_hour || ' at time zone ''UTC'')::date'
    when '15 minutes' then quarter_hour
    else pg_catalog.format('date_bin(%L, %s, ''0001-01-01 00:00+00'')', width, quarter_hour)
  end;
comment on function tallybook.bucket_expression is 'SQL: the bucket of a quarter hour.';

create function tallybook.bucket_bound(width interval, instant timestamptz) returns text
  language sql stable parallel safe
  return case width
    when '1 day' then pg_catalog.quote_literal((instant at time zone 'UTC')::date) || '::date'
    else pg_catalog.quote_literal(instant at time zone 'UTC') || '::timestamp at time zone ''UTC'''
  end;
comment on function tallybook.bucket_bound is 'SQL: the start of a UTC day as a value of the bucket column.';

-- Where functions write times into SQL, they write them in ISO style: in others a zone is an abbreviation, which reads as another zone (IST).
create function tallybook.happened_in(since timestamptz, until timestamptz) returns text
  language sql stable parallel safe set search_path = pg_catalog, pg_temp set datestyle = 'ISO'
  return case
    when until <= '0001-01-01 00:00+00' or since > '9999-12-31 00:00+00' then 'false'
    else concat_ws(' and ', 'true',
      -- the first bucket holds all that came before it, and what has no time; the last one all that comes after
      case when since > '0001-01-01 00:00+00' then format('happened_at >= %L', since) end,
      case when until > '9999-12-31 00:00+00' then null
           when since > '0001-01-01 00:00+00' then format('happened_at < %L', until)
           else format('(happened_at < %L or happened_at is null)', until) end)
  end;
comment on function tallybook.happened_in is
  'SQL: a condition on happened_at, which finds the index on created_at, for the rows whose buckets lie in whole UTC days, [since, until).';

-- Sums for every rollup in one statement. `contributions` is SQL that gives (at least) the columns of tallybook.contribution; `others` are more parts of the
-- same statement. Each rollup takes those from its own bound on: [since, until), where `since` is SQL, too. Gives a row for each rollup: rows touched, and
-- those that came out empty.
create function tallybook.sum_statement(contributions text, others text, names text[], since text[], until timestamptz) returns text
  language sql stable set search_path = pg_catalog, pg_temp set datestyle = 'ISO'
  return (
    select coalesce('with contributions as (' || contributions || '), ' || others || string_agg(format($sql$
      %1$s as (
        insert into tallybook.%1$s as r (%2$s, %3$s, %4$s)
        select %5$s, %3$s, %6$s from contributions c
        where c.bucket_start >= %7$s and c.bucket_start < %8$s
        group by 1, %3$s
        having %9$s
        on conflict (%10$s) do update set %11$s
        returning r.ctid, (%12$s) as is_empty)$sql$,
      rollup.name,
      tallybook.bucket_column(bucket_width),
      array_to_string(dimensions, ', '),
      array_to_string(tallybook.measures(), ', '),
      tallybook.bucket_expression(bucket_width, 'c.bucket_start'),
      tallybook.each('sum(c.{})', tallybook.measures()),
      lower_bound,
      quote_literal(until),
      tallybook.each('sum(c.{}) <> 0', tallybook.measures(), ' or '),
      array_to_string(array[dimensions[1], tallybook.bucket_column(bucket_width)] || dimensions[2:], ', '),
      tallybook.each('{} = r.{} + excluded.{}', tallybook.measures()),
      tallybook.each('r.{} = 0', tallybook.measures(), ' and ')), ', ')
      || string_agg(format(
        'select %1$L as rollup, count(*) as touched, coalesce(array_agg(ctid) filter (where is_empty), ''{}'') as emptied from %1$s', rollup.name), ' union all '),
      -- no rollup is declared: only the others
      'with ' || rtrim(others, ', ') || ' select null::text as rollup, 0::bigint as touched, null::tid[] as emptied where false')
    from unnest(names, since) as wanted (name, lower_bound) join tallybook.rollup using (name)
  );
comment on function tallybook.sum_statement is 'SQL: adds contributions to rollups, in one statement.';

create function tallybook.execute_sums(statement text, low xid8 default null, opened xid8[] default null, chosen uuid[] default null) returns bigint
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  summed record;
  touched bigint := 0;
begin
  for summed in execute statement using low, opened, chosen loop
    touched := touched + summed.touched;
    if summed.emptied <> '{}' then
      -- written a moment ago under the fold lock, so they are where they were
      execute format('delete from tallybook.%I where ctid = any ($1)', summed.rollup) using summed.emptied;
    end if;
  end loop;
  return touched;
end $$;
comment on function tallybook.execute_sums is
  'Runs a sum_statement, with what it may name $1, $2 and $3, and removes the rollup rows whose measures all came out as 0. Returns the rows touched.';

-- Following the host -------------------------------------------------------------------------------------------------------------------------------

create function tallybook.uncover() returns void
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  r record;
begin
  for r in select name from tallybook.rollup for update loop
    execute format('delete from tallybook.%I', r.name);
    update tallybook.rollup set covered_from = 'infinity', reads_raw = true where name = r.name;
    perform tallybook.define_now_view(r.name);
  end loop;
end $$;
comment on function tallybook.uncover is 'Has all days read from raw, until backfill covers them again. The caller holds the fold lock.';

create function tallybook.source_changes() returns setof text
  language sql stable security definer set search_path = pg_catalog, pg_temp
  begin atomic
    select case
      when c.number is null and s.number is null then null
      when c.number is null then format('public.%s has no column %s any more', c.source, s.column_name)
      when s.number is null then format('public.%s has a column %s now', c.source, c.column_name)
      when c.column_name <> s.column_name then format('column %s of public.%s is called %s now', s.column_name, c.source, c.column_name)
      when c.relation = s.relation and c.number <> s.number then format('column %s of public.%s is another one now', c.column_name, c.source)
    end as change
    from tallybook.source_columns() c
    left join tallybook.source_column s on s.source = c.source and s.name = c.name
    where tallybook.is_adopted() and (c.number, c.column_name) is distinct from (s.number, s.column_name)
      and (c.column_name is distinct from s.column_name or c.relation = s.relation)
    order by change;
  end;
comment on function tallybook.source_changes is 'How the columns of adopted tables differ from those that are captured.';

-- Locks no source table but ACCESS SHARE, and waits for no fold: it may be called in the very transaction that renames a column.
create function tallybook.follow_sources() returns setof text
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  changes text[];
  missing text;
  is_read_anew boolean;
begin
  if not tallybook.is_adopted() then
    return;
  end if;
  perform pg_advisory_xact_lock((1718578284::bigint << 32) | 'tallybook'::regnamespace::oid::bigint);
  changes := array(select tallybook.source_changes());
  select string_agg(format('public.%s (%s)', source, name), ', ' order by source, name) into missing
  from tallybook.source_columns() where is_needed and number is null;
  if missing is not null then
    raise exception 'a column that is needed is gone: %', missing using errcode = 'undefined_column',
      hint = 'Add it again, or take Tallybook out with `tallybook migrate down --to 0`.';
  end if;
  -- a column that is counted from now on, or no more, changes what raw comes to
  is_read_anew := exists (
    select from tallybook.source_columns() c left join tallybook.source_column s on s.source = c.source and s.name = c.name
    where (c.number is null) <> (s.number is null) or (c.relation = s.relation and c.number <> s.number));
  perform tallybook.note_columns();
  perform tallybook.define_sources();
  perform tallybook.define_capture_of_keys();
  perform tallybook.define_capture_of_usage();
  if is_read_anew then
    perform tallybook.note_break('task_usage', array_to_string(changes, '; '));
  end if;
  return query select unnest(changes);
end $$;
comment on function tallybook.follow_sources is
  'Finds the columns of adopted tables again that were renamed, and captures by their new names. Call it in the transaction that renames one, and no change is missed. Returns what was followed.';

create function tallybook.mend_capture() returns boolean
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if not exists (select from tallybook.capture_break) then
    return false;
  end if;
  perform tallybook.follow_sources();
  -- whoever captures by old names still says so itself
  delete from tallybook.capture_break;
  perform tallybook.uncover();
  return true;
end $$;
comment on function tallybook.mend_capture is
  'Where changes were not captured: follows the source tables and has all days read from raw, until backfill covers them again. The caller holds the fold lock.';

-- Fold -------------------------------------------------------------------------------------------------------------------------------------------

-- The statements that fold, as functions: a session plans each of them once. Whoever declares a rollup defines them anew.
create function tallybook.define_fold() returns void
  language plpgsql set search_path = pg_catalog, pg_temp as $generator$
declare
  names constant text[] := array(select name from tallybook.rollup order by name);
  bounds constant text[] := array(select format('(select covered_from from tallybook.rollup where name = %L)', name) from tallybook.rollup order by name);
  definition constant text := $function$
    create or replace function tallybook.%s returns table (rollup text, touched bigint, emptied tid[])
      language plpgsql security definer set search_path = pg_catalog, pg_temp set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan as $body$
    #variable_conflict use_column
    begin
      return query %s;
    end $body$
  $function$;
begin
  execute format(definition, 'fold_everything(low xid8, opened xid8[])', tallybook.sum_statement('select * from tallybook.pending()', $statement$
    folded_usage as (delete from tallybook.usage_change where xid >= $1 or xid = any ($2)),
    folded_tasks as (delete from tallybook.task_change where xid >= $1 or xid = any ($2)),
    folded_agents as (delete from tallybook.agent_change where xid >= $1 or xid = any ($2)),
    folded_issues as (delete from tallybook.issue_change where xid >= $1 or xid = any ($2)),
    folded_sealed as (delete from tallybook.sealed_change where xid >= $1 or xid = any ($2)),
    marked as (
      insert into tallybook.fold_mark (id, floor, open, writer)
      select coalesce(max(id), 0) + 1, pg_snapshot_xmax(pg_current_snapshot()),
        array(select pg_snapshot_xip(pg_current_snapshot())) || pg_current_xact_id(), '0'
      from tallybook.fold_mark),$statement$, names, bounds, 'infinity'));
  comment on function tallybook.fold_everything is 'Adds what is pending to every rollup, removes the change rows that it came from, and marks that: one statement.';
  execute format(definition, 'fold_tasks(low xid8, opened xid8[], chosen uuid[])', tallybook.sum_statement('select * from tallybook.pending_of_tasks($1, $2, $3)', $statement$
    folded_usage as (delete from tallybook.usage_change where (xid >= $1 or xid = any ($2)) and task_id in (select unnest($3))),
    folded_tasks as (delete from tallybook.task_change where (xid >= $1 or xid = any ($2)) and task_id in (select unnest($3))),$statement$, names, bounds, 'infinity'));
  comment on function tallybook.fold_tasks is 'Adds what is pending of some tasks alone to every rollup, and removes the change rows that it came from: one statement.';
end $generator$;
comment on function tallybook.define_fold is 'Makes the functions that fold into the rollups that are declared.';
select tallybook.define_fold();

create function tallybook.fold(batches_max integer, batch_rows bigint) returns bigint
  language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '5s' set jit = off set enable_seqscan = off as $$
declare
  started constant timestamptz := clock_timestamp();
  low xid8;
  opened xid8[];
  chosen uuid[];
  waiting bigint;
  touched bigint := 0;
begin
  perform tallybook.require_alone();
  if not pg_try_advisory_xact_lock(tallybook.fold_lock_key()) then
    raise notice 'not folded: rollups are being written by %', tallybook.fold_lock_holder();
    return 0;
  end if;
  if tallybook.mend_capture() then
    return 0;
  end if;
  if not tallybook.is_pending() then
    -- an idle tick writes nothing, but for a sign of life once a minute
    update tallybook.fold_state set last_run_started_at = started, last_run_finished_at = clock_timestamp(), last_run_rows = 0, last_error = null
    where last_run_finished_at is null or last_run_finished_at < started - interval '1 minute' or last_error is not null;
    return 0;
  end if;
  perform tallybook.lock_sources();

  for batch in 1 .. batches_max loop
    select * into low, opened from tallybook.mark();
    select usage_rows + task_rows into waiting from tallybook.backlog();
    chosen := '{}';
    if waiting > batch_rows then
      chosen := array(
        select distinct task_id from (
          (select task_id from tallybook.usage_change where xid >= low or xid = any (opened) order by xid limit greatest(batch_rows, waiting / 16))
          union all
          (select task_id from tallybook.task_change where xid >= low or xid = any (opened) order by xid limit greatest(batch_rows, waiting / 16))) x
        where task_id is not null);
    end if;
    if chosen = '{}' then
      touched := touched + tallybook.execute_sums('select * from tallybook.fold_everything($1, $2)', low, opened);
      -- valid only where it was written: see fold_mark.writer
      delete from tallybook.fold_mark where id < (select max(id) from tallybook.fold_mark);
      update tallybook.fold_mark set writer = xmin where id = (select max(id) from tallybook.fold_mark);
      exit;
    end if;
    touched := touched + tallybook.execute_sums('select * from tallybook.fold_tasks($1, $2, $3)', low, opened, chosen);
  end loop;

  update tallybook.fold_state
  set last_run_started_at = started, last_run_finished_at = clock_timestamp(), last_run_rows = touched, last_error = null;
  return touched;
end $$;
comment on function tallybook.fold is
  'Adds what is pending to every rollup; more than batch_rows change rows in several batches, at most batches_max of them. Returns the rollup rows touched; 0 when another one is at work.';

create function tallybook.record_fold_error(message text) returns void
  language sql security definer set search_path = pg_catalog, pg_temp
  begin atomic
    update tallybook.fold_state set last_error = message, last_error_at = clock_timestamp();
  end;
comment on function tallybook.record_fold_error is 'For whoever called a tick that failed: what the tick itself writes is rolled back.';

-- Rebuild ----------------------------------------------------------------------------------------------------------------------------------------

-- The caller holds the fold lock and the source tables. Whole UTC days, [since, until).
create function tallybook.rebuild_days(since timestamptz, until timestamptz, names text[]) returns bigint
  language plpgsql security definer set search_path = pg_catalog, pg_temp set datestyle = 'ISO' set jit = off set work_mem = '64MB' as $$
declare
  target record;
  key constant text := 'bucket_start, workspace_id, runtime_id, agent_id, project_id, provider collate "C" as provider, model collate "C" as model';
  targets text[];
  bounds text[];
begin
  for target in select * from tallybook.rollup where name = any (names) loop
    -- a range that adjoins the coverage extends it; other uncovered days are left alone
    if since < target.covered_from and until >= target.covered_from then
      update tallybook.rollup set covered_from = since where name = target.name;
      target.covered_from := since;
    end if;
    execute format('delete from tallybook.%1$I where %2$s >= %3$s and %2$s < %4$s', target.name, tallybook.bucket_column(target.bucket_width),
      tallybook.bucket_bound(target.bucket_width, since), tallybook.bucket_bound(target.bucket_width, until));
    targets := targets || target.name;
    bounds := bounds || quote_literal(greatest(since, target.covered_from));
  end loop;
  if targets is null then
    return 0;
  end if;
  return tallybook.execute_sums(tallybook.sum_statement(
    format('select %1$s, %2$s from tallybook.contribution() where %4$s union all select %1$s, %3$s from tallybook.pending() where bucket_start >= %5$L and bucket_start < %6$L',
      key, array_to_string(tallybook.measures(), ', '), tallybook.each('-{}', tallybook.measures()), tallybook.happened_in(since, until), since, until),
    '', targets, bounds, until));
end $$;
comment on function tallybook.rebuild_days is 'Replaces days of rollups by the raw sums less what is pending. Returns the rollup rows written.';

create function tallybook.rebuild(since timestamptz, until timestamptz) returns bigint
  language plpgsql security definer set search_path = pg_catalog, pg_temp set datestyle = 'ISO' as $$
declare
  first_day constant timestamptz := date_trunc('day', since, 'UTC');
  end_day constant timestamptz := case when until = date_trunc('day', until, 'UTC') then until else date_trunc('day', until, 'UTC') + interval '1 day' end;
  happened_at constant text := tallybook.usage_time('u');
  reported_at constant text := case when exists (select from tallybook.source_columns() where source = 'task_usage' and name = 'updated_at' and number is not null)
    then format('coalesce(%s, %s)', tallybook.usage_time('u', 'updated_at'), happened_at) else happened_at end;
  names text[];
  day timestamptz;
  written bigint := 0;
begin
  if since is null or until is null then
    raise exception 'a window needs a beginning and an end' using errcode = 'null_value_not_allowed', hint = 'Use -infinity and infinity for all history.';
  end if;
  perform tallybook.require_alone();
  if since >= until then
    return 0;
  end if;
  perform tallybook.wait_for_fold_lock();
  perform tallybook.lock_sources();
  select array_agg(name) into names from tallybook.rollup;
  written := tallybook.rebuild_days(first_day, end_day, names);
  -- rows reported in the window whose usage happened on other days
  for day in execute format(
    'select distinct date_trunc(''day'', tallybook.bucket(%1$s), ''UTC'') from public.task_usage u where %2$s >= %3$L and %2$s < %4$L',
    happened_at, reported_at, since, until)
  loop
    if day < first_day or day >= end_day then
      written := written + tallybook.rebuild_days(day, day + interval '1 day', names);
    end if;
  end loop;
  return written;
end $$;
comment on function tallybook.rebuild is
  'Rebuilds, in every rollup, each day inside the window and each day on which a row reported in the window falls. Returns the rollup rows written.';

-- Now-views --------------------------------------------------------------------------------------------------------------------------------------

create function tallybook.is_seen(rollup_name text) returns boolean
  language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
  -- names are looked up as they are now, rows of the catalog as the snapshot sees them
  if not exists (select from pg_class where oid = to_regclass('tallybook.' || rollup_name)) then
    raise exception 'the rollup % is newer than this snapshot', rollup_name using errcode = 'serialization_failure', hint = 'Retry the transaction.';
  end if;
  if exists (select from tallybook.capture_break) and (select covered_from from tallybook.rollup where name = rollup_name) <> 'infinity' then
    raise exception 'the rollup % lacks changes that were not captured: %', rollup_name, (select message from tallybook.capture_break order by noted_at limit 1)
      using errcode = 'object_not_in_prerequisite_state', hint = 'Run `tallybook adopt --refresh`.';
  end if;
  return true;
end $$;
comment on function tallybook.is_seen is
  'True where the snapshot is not older than the rollup''s table, or the table made anew (else 40001: it would be empty, not exact), and no change was missed.';

create function tallybook.is_covered(rollup_name text) returns boolean
  language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform tallybook.is_seen(rollup_name);
  if (select covered_from from tallybook.rollup where name = rollup_name) is distinct from '-infinity'::timestamptz then
    raise exception 'the view of % is newer than this snapshot', rollup_name using errcode = 'serialization_failure', hint = 'Retry the transaction.';
  end if;
  return true;
end $$;
comment on function tallybook.is_covered is
  'True where the snapshot sees the rollup wholly covered. Else 40001: a changed view is seen at once by snapshots that are older than the change.';

create function tallybook.define_now_view(rollup_name text) returns void
  language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  r tallybook.rollup;
  key text;
begin
  select * into strict r from tallybook.rollup where name = rollup_name;
  key := tallybook.bucket_column(r.bucket_width) || ', ' || array_to_string(r.dimensions, ', ');
  execute format($view$
    create or replace view tallybook.%1$s_now as
    with
      p as materialized (
        select %2$s as %3$s, %4$s, %5$s from tallybook.pending() where %6$s)
    -- Buckets that nothing is pending for, which is most of them: rows as they are. Buckets are looked up by hash, without a join: that would be
    -- planned by statistics that know nothing of what is pending, and little of the newest days.
    select %7$s, %5$s from tallybook.%1$s where %3$s not in (select %3$s from p)
    union all
    -- buckets that something is pending for
    select %7$s, %8$s, sum(event_count)::bigint
    from (
      select %7$s, %5$s from p
      union all
      select %7$s, %5$s from tallybook.%1$s where exists (select from p) and (%3$s in (select %3$s from p)) is true) s
    group by %7$s
    having %9$s
    %10$s$view$,
    r.name,
    tallybook.bucket_expression(r.bucket_width, 'bucket_start'),
    tallybook.bucket_column(r.bucket_width),
    array_to_string(r.dimensions, ', '),
    array_to_string(tallybook.measures(), ', '),
    case when r.reads_raw then format('tallybook.is_seen(%1$L) and bucket_start >= (select covered_from from tallybook.rollup where name = %1$L)', r.name)
         else format('tallybook.is_covered(%L)', r.name) end,
    key,
    tallybook.each('sum({})', (tallybook.measures())[1:11]),
    tallybook.each('sum({}) <> 0', tallybook.measures(), ' or '),
    case when r.reads_raw then format('union all
      -- days that are not covered
      select %1$s, %2$s, %3$s, sum(event_count)::bigint
      from tallybook.contribution() where bucket_start < (select covered_from from tallybook.rollup where name = %4$L)
      group by 1, %2$s',
      tallybook.bucket_expression(r.bucket_width, 'bucket_start'),
      (select string_agg(case when d in ('provider', 'model') then d || ' collate "C"' else d end, ', ' order by n) from unnest(r.dimensions) with ordinality as x (d, n)),
      tallybook.each('sum({})', (tallybook.measures())[1:11]), r.name) else '' end);
  execute format('comment on view tallybook.%s_now is %L', r.name, 'Always exactly the sums of raw usage. Tokens are counts; cost_usd_ticks is in 1e-10 USD.');
end $$;
comment on function tallybook.define_now_view is 'Makes the now-view of a rollup: the rollup, what is pending, and, as long as it reads raw, the days not covered.';

create function tallybook.settle_views() returns setof text
  language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '1s' as $$
declare
  r record;
begin
  for r in select name from tallybook.rollup where reads_raw and covered_from = '-infinity' for update loop
    update tallybook.rollup set reads_raw = false where name = r.name;
    perform tallybook.define_now_view(r.name);
    return next r.name;
  end loop;
end $$;
comment on function tallybook.settle_views is 'Takes the raw arm off the now-views of rollups that are wholly covered: reads are planned faster without it.';

-- Declarations -----------------------------------------------------------------------------------------------------------------------------------

create function tallybook.create_rollup(rollup_name text, bucket_width interval, dimensions text[]) returns void
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  bucket constant text := tallybook.bucket_column(bucket_width);
  empty boolean;
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'a rollup cannot be created in isolation level %', current_setting('transaction_isolation') using errcode = 'active_sql_transaction';
  end if;
  perform tallybook.wait_for_fold_lock();
  -- of no usage all sums are there; else backfill makes them, and of what is adopted when all of it is captured
  empty := not tallybook.is_adopted();
  if empty then
    perform tallybook.lock_sources();
  end if;
  empty := empty and not exists (select from public.task_usage) and not exists (select from tallybook.usage_change)
    and not exists (select from tallybook.sealed_usage) and not exists (select from tallybook.sealed_change);
  insert into tallybook.rollup (name, bucket_width, dimensions, covered_from, reads_raw)
  values (rollup_name, bucket_width, dimensions, case when empty then '-infinity' else 'infinity' end::timestamptz, not empty);
  execute format('create table tallybook.%s (%s %s not null, %s, %s, event_count bigint not null) with (fillfactor = 80)',
    rollup_name,
    bucket,
    case bucket when 'bucket_date' then 'date' else 'timestamptz' end,
    (select string_agg(d || case when d in ('provider', 'model') then ' text collate "C" not null'
                                 when d in ('runtime_id', 'project_id') then ' uuid'
                                 else ' uuid not null' end, ', ' order by n) from unnest(dimensions) with ordinality as x (d, n)),
    tallybook.each('{} numeric not null', (tallybook.measures())[1:11]));
  execute format('create unique index %1$s_key on tallybook.%1$s (%2$s) nulls not distinct', rollup_name,
    array_to_string(array[dimensions[1], bucket] || dimensions[2:], ', '));
  execute format('create index %1$s_second on tallybook.%1$s (%2$s, %3$s)', rollup_name, dimensions[2], bucket);
  -- finds the days that backfill and rebuild replace; no index holds a measure, so that folds update in place
  execute format('create index %1$s_bucket on tallybook.%1$s using brin (%2$s) with (pages_per_range = 32)', rollup_name, bucket);
  execute format('alter table tallybook.%s replica identity full', rollup_name);
  execute format('comment on table tallybook.%s is %L', rollup_name,
    'Sums of raw usage, as far as it is covered and folded. Written by fold, backfill and rebuild alone; read the _now view.');
  perform tallybook.define_fold();
  perform tallybook.define_now_view(rollup_name);
end $$;
comment on function tallybook.create_rollup is 'Declares a rollup: its table, indexes and now-view are made, and fold and backfill keep it from now on.';

create function tallybook.drop_rollup(rollup_name text) returns void
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform tallybook.wait_for_fold_lock();
  delete from tallybook.rollup where name = rollup_name;
  if not found then
    raise exception 'there is no rollup %', quote_nullable(rollup_name) using errcode = 'undefined_table';
  end if;
  perform tallybook.define_fold();
  execute format('drop view tallybook.%s_now', rollup_name);
  execute format('drop table tallybook.%s', rollup_name);
end $$;
comment on function tallybook.drop_rollup is 'Removes a rollup and what was derived from its declaration. Raw usage stays.';

-- Verify -----------------------------------------------------------------------------------------------------------------------------------------

create function tallybook.verify(rollup_name text, since timestamptz, until timestamptz, examples_max bigint,
    out keys bigint, out drifted_keys bigint, out drifted_days date[], out examples jsonb)
  language plpgsql stable security definer set search_path = pg_catalog, pg_temp set datestyle = 'ISO' set jit = off as $$
declare
  r tallybook.rollup;
  bucket text;
begin
  select * into r from tallybook.rollup where name = rollup_name;
  if not found then
    raise exception 'there is no rollup %', quote_nullable(rollup_name) using errcode = 'undefined_table';
  end if;
  bucket := tallybook.bucket_column(r.bucket_width);
  execute format($sql$
    with
      both_sides as (
        select true as is_shown, %2$s, %3$s, %4$s from tallybook.%1$s_now where %2$s >= %5$s and %2$s < %6$s
        union all
        select false, %7$s, %8$s, %4$s from tallybook.contribution() where %9$s),
      compared as (
        select %2$s, %3$s, %10$s, %11$s from both_sides group by %2$s, %3$s),
      differing as (
        select jsonb_build_object('bucket', %2$s, %12$s) as key, %13$s as day,
          jsonb_build_object(%14$s) as shown, jsonb_build_object(%15$s) as raw
        from compared where %16$s)
    select (select count(*) from compared), count(*), coalesce(array_agg(distinct day), '{}'),
      (select coalesce(jsonb_agg(to_jsonb(d) - 'day'), '[]') from (select * from differing order by key limit $1) d)
    from differing$sql$,
    r.name,
    bucket,
    array_to_string(r.dimensions, ', '),
    array_to_string(tallybook.measures(), ', '),
    tallybook.bucket_bound(r.bucket_width, since),
    tallybook.bucket_bound(r.bucket_width, until),
    tallybook.bucket_expression(r.bucket_width, 'bucket_start'),
    (select string_agg(case when d in ('provider', 'model') then d || ' collate "C"' else d end, ', ' order by n) from unnest(r.dimensions) with ordinality as x (d, n)),
    tallybook.happened_in(since, until),
    tallybook.each('coalesce(sum({}) filter (where is_shown), 0) as shown_{}', tallybook.measures()),
    tallybook.each('coalesce(sum({}) filter (where not is_shown), 0) as raw_{}', tallybook.measures()),
    tallybook.each('''{}'', {}', r.dimensions),
    case bucket when 'bucket_date' then bucket else '(' || bucket || ' at time zone ''UTC'')::date' end,
    tallybook.each('''{}'', shown_{}', tallybook.measures()),
    tallybook.each('''{}'', raw_{}', tallybook.measures()),
    tallybook.each('shown_{} <> raw_{}', tallybook.measures(), ' or '))
  into keys, drifted_keys, drifted_days, examples using examples_max;
end $$;
comment on function tallybook.verify is
  'Compares a now-view with the sums of raw usage, both ways, in the caller''s snapshot: keys compared, keys that differ, their days, and some of them.';

revoke all on all functions in schema tallybook from public;
