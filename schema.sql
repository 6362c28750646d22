-- What all migrations add up to, as pg_dump writes it. Generated: TALLYBOOK_UPDATE=1 make test.

CREATE SCHEMA tallybook;

COMMENT ON SCHEMA tallybook IS 'Exact rollups of public.task_usage. Read the *_now views.';

CREATE TYPE tallybook.contribution AS (
	bucket_start timestamp with time zone,
	workspace_id uuid,
	runtime_id uuid,
	agent_id uuid,
	project_id uuid,
	provider text COLLATE pg_catalog."C",
	model text COLLATE pg_catalog."C",
	input_tokens numeric,
	output_tokens numeric,
	cache_read_tokens numeric,
	cache_write_tokens numeric,
	cache_write_1h_tokens numeric,
	cost_usd_ticks numeric,
	uncosted_input_tokens numeric,
	uncosted_output_tokens numeric,
	uncosted_cache_read_tokens numeric,
	uncosted_cache_write_tokens numeric,
	uncosted_cache_write_1h_tokens numeric,
	event_count bigint
);

COMMENT ON TYPE tallybook.contribution IS 'Measures at a key.';

CREATE FUNCTION tallybook.backfill_slice(rows_max bigint, OUT since timestamp with time zone, OUT until timestamp with time zone, OUT rows_written bigint) RETURNS SETOF record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  names text[];
begin
  if rows_max is null or rows_max < 1 then
    raise exception 'a slice has at least one row, not %', coalesce(rows_max::text, 'null') using errcode = 'invalid_parameter_value';
  end if;
  perform tallybook.require_alone();
  perform tallybook.wait_for_fold_lock();
  perform tallybook.lock_sources();
  select max(covered_from) into until from tallybook.rollup;
  if until = '-infinity' or until is null then
    return;
  end if;
  select array_agg(name) into names from tallybook.rollup where covered_from = until;
  -- as many whole days as hold so many rows, and not beyond the coverage of the next rollup
  select date_trunc('day', tallybook.bucket(created_at), 'UTC') into since
  from public.task_usage where created_at < until order by created_at desc offset rows_max limit 1;
  if since is null or since >= until then
    since := '-infinity';
  end if;
  select greatest(since, max(covered_from)) into since from tallybook.rollup where covered_from < until;
  rows_written := tallybook.rebuild_days(since, until, names);
  return next;
end $$;

COMMENT ON FUNCTION tallybook.backfill_slice(rows_max bigint, OUT since timestamp with time zone, OUT until timestamp with time zone, OUT rows_written bigint) IS 'Covers the newest days that are not covered, in every rollup that lacks them, reading each raw row once. No row when all is covered.';

CREATE FUNCTION tallybook.backlog(OUT usage_rows bigint, OUT task_rows bigint, OUT agent_rows bigint, OUT issue_rows bigint, OUT oldest timestamp with time zone) RETURNS record
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET jit TO 'off'
    SET enable_seqscan TO 'off'
    AS $$
declare
  low xid8;
  opened xid8[];
begin
  select * into low, opened from tallybook.mark();
  with waiting as (
    select 'usage' as kind, captured_at from tallybook.usage_change where xid >= low or xid = any (opened)
    union all select 'task', captured_at from tallybook.task_change where xid >= low or xid = any (opened)
    union all select 'agent', captured_at from tallybook.agent_change where xid >= low or xid = any (opened)
    union all select 'issue', captured_at from tallybook.issue_change where xid >= low or xid = any (opened))
  select count(*) filter (where kind = 'usage'), count(*) filter (where kind = 'task'), count(*) filter (where kind = 'agent'),
    count(*) filter (where kind = 'issue'), min(captured_at)
  into usage_rows, task_rows, agent_rows, issue_rows, oldest from waiting;
end $$;

COMMENT ON FUNCTION tallybook.backlog(OUT usage_rows bigint, OUT task_rows bigint, OUT agent_rows bigint, OUT issue_rows bigint, OUT oldest timestamp with time zone) IS 'Change rows that wait to be folded, and when the oldest of them was captured.';

CREATE FUNCTION tallybook.bucket(happened_at timestamp with time zone) RETURNS timestamp with time zone
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN date_bin('00:15:00'::interval, GREATEST(LEAST(COALESCE(happened_at, '0001-01-01 00:00:00+00'::timestamp with time zone), '9999-12-31 23:45:00+00'::timestamp with time zone), '0001-01-01 00:00:00+00'::timestamp with time zone), '0001-01-01 00:00:00+00'::timestamp with time zone);

COMMENT ON FUNCTION tallybook.bucket(happened_at timestamp with time zone) IS 'The quarter hour, in UTC, that a time falls into. Null, infinite and out-of-range times enter the first or the last one: years 1 and 9999.';

CREATE FUNCTION tallybook.bucket_bound(width interval, instant timestamp with time zone) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN CASE width WHEN '1 day'::interval THEN (quote_literal(((instant AT TIME ZONE 'UTC'::text))::date) || '::date'::text) ELSE (quote_literal((instant AT TIME ZONE 'UTC'::text)) || '::timestamp at time zone ''UTC'''::text) END;

COMMENT ON FUNCTION tallybook.bucket_bound(width interval, instant timestamp with time zone) IS 'SQL: the start of a UTC day as a value of the bucket column.';

CREATE FUNCTION tallybook.bucket_column(width interval) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE width WHEN '1 day'::interval THEN 'bucket_date'::text ELSE 'bucket_start'::text END;

COMMENT ON FUNCTION tallybook.bucket_column(width interval) IS 'The name of a rollup''s bucket column.';

CREATE FUNCTION tallybook.bucket_expression(width interval, quarter_hour text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE width WHEN '1 day'::interval THEN (('('::text || quarter_hour) || ' at time zone ''UTC'')::date'::text) WHEN '00:15:00'::interval THEN quarter_hour ELSE format('date_bin(%L, %s, ''0001-01-01 00:00+00'')'::text, width, quarter_hour) END;

COMMENT ON FUNCTION tallybook.bucket_expression(width interval, quarter_hour text) IS 'SQL: the bucket of a quarter hour.';

CREATE FUNCTION tallybook.canonical_key(image text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN format('%1$s.task_id, tallybook.provider_key(%1$s.provider collate "C") as provider, tallybook.name_key(%1$s.model collate "C") as model, tallybook.bucket(%1$s.happened_at) as bucket_start'::text, image);

COMMENT ON FUNCTION tallybook.canonical_key(image text) IS 'SQL: the task and the canonical key parts of a usage_key_image.';

CREATE FUNCTION tallybook.capture_agent() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  if tg_op <> 'INSERT' then
    insert into tallybook.agent_change (agent_id, workspace_id, sign) values (old.id, old.workspace_id, -1);
  end if;
  if tg_op <> 'DELETE' then
    insert into tallybook.agent_change (agent_id, workspace_id, sign) values (new.id, new.workspace_id, 1);
  end if;
  return null;
end $$;

COMMENT ON FUNCTION tallybook.capture_agent() IS 'Logs which workspace an agent''s usage belongs to.';

CREATE FUNCTION tallybook.capture_faults() RETURNS SETOF text
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  select format(case when t.oid is null then 'trigger %s on public.%s is missing' else 'trigger %s on public.%s is disabled' end, name, source)
  from unnest(array['task_usage', 'agent_task_queue', 'agent', 'issue'],
              array['capture_usage', 'capture_task', 'capture_agent', 'capture_issue']) as captured (source, function)
  cross join unnest(array['tallybook_insert', 'tallybook_update', 'tallybook_delete', 'tallybook_truncate']) as name
  left join pg_trigger t on t.tgrelid = to_regclass('public.' || source) and t.tgname = name
    and t.tgfoid = to_regproc('tallybook.' || case name when 'tallybook_truncate' then 'refuse_truncate' else function end)
  where t.oid is null or t.tgenabled not in ('O', 'A')
  order by source, name
$$;

COMMENT ON FUNCTION tallybook.capture_faults() IS 'Why capture cannot be trusted: triggers that are missing or disabled. No row when all is well.';

CREATE FUNCTION tallybook.capture_issue() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  if tg_op <> 'INSERT' then
    insert into tallybook.issue_change (issue_id, project_id, sign) values (old.id, old.project_id, -1);
  end if;
  if tg_op <> 'DELETE' then
    insert into tallybook.issue_change (issue_id, project_id, sign) values (new.id, new.project_id, 1);
  end if;
  return null;
end $$;

COMMENT ON FUNCTION tallybook.capture_issue() IS 'Logs which project an issue''s usage belongs to.';

CREATE FUNCTION tallybook.capture_task() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  if tg_op <> 'INSERT' then
    insert into tallybook.task_change (task_id, agent_id, runtime_id, issue_id, sign) values (old.id, old.agent_id, old.runtime_id, old.issue_id, -1);
  end if;
  if tg_op <> 'DELETE' then
    insert into tallybook.task_change (task_id, agent_id, runtime_id, issue_id, sign) values (new.id, new.agent_id, new.runtime_id, new.issue_id, 1);
  end if;
  return null;
end $$;

COMMENT ON FUNCTION tallybook.capture_task() IS 'Logs what decides the key of a task''s usage.';

CREATE FUNCTION tallybook.capture_usage() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    begin
      
      if tg_op = 'INSERT' then
        insert into tallybook.usage_change (task_id, provider, model, happened_at, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, cost_usd_ticks, event_count) select r.task_id as task_id, r.provider::text as provider, r.model::text as model, r.created_at as happened_at, coalesce(r.input_tokens, 0)::numeric as input_tokens, coalesce(r.output_tokens, 0)::numeric as output_tokens, coalesce(r.cache_read_tokens, 0)::numeric as cache_read_tokens, coalesce(r.cache_write_tokens, 0)::numeric as cache_write_tokens, coalesce(r.cache_write_1h_tokens, 0)::numeric as cache_write_1h_tokens, r.cost_usd_ticks::numeric as cost_usd_ticks, 1 from new_rows r;
      elsif tg_op = 'DELETE' then
        insert into tallybook.usage_change (task_id, provider, model, happened_at, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, cost_usd_ticks, event_count) select r.task_id as task_id, r.provider::text as provider, r.model::text as model, r.created_at as happened_at, -coalesce(r.input_tokens, 0)::numeric, -coalesce(r.output_tokens, 0)::numeric, -coalesce(r.cache_read_tokens, 0)::numeric, -coalesce(r.cache_write_tokens, 0)::numeric, -coalesce(r.cache_write_1h_tokens, 0)::numeric, -r.cost_usd_ticks::numeric, -1 from old_rows r;
      else
        -- both images of every row, summed where they share a key; nothing where nothing changed
        insert into tallybook.usage_change (task_id, provider, model, happened_at, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, cost_usd_ticks, event_count)
        select i.task_id, i.provider, i.model, i.happened_at, sum(i.sign * i.input_tokens), sum(i.sign * i.output_tokens), sum(i.sign * i.cache_read_tokens), sum(i.sign * i.cache_write_tokens), sum(i.sign * i.cache_write_1h_tokens), sum(i.sign * i.cost_usd_ticks), sum(i.sign)
        from (select 1 as sign, r.task_id as task_id, r.provider::text as provider, r.model::text as model, r.created_at as happened_at, coalesce(r.input_tokens, 0)::numeric as input_tokens, coalesce(r.output_tokens, 0)::numeric as output_tokens, coalesce(r.cache_read_tokens, 0)::numeric as cache_read_tokens, coalesce(r.cache_write_tokens, 0)::numeric as cache_write_tokens, coalesce(r.cache_write_1h_tokens, 0)::numeric as cache_write_1h_tokens, r.cost_usd_ticks::numeric as cost_usd_ticks from new_rows r union all select -1, r.task_id as task_id, r.provider::text as provider, r.model::text as model, r.created_at as happened_at, coalesce(r.input_tokens, 0)::numeric as input_tokens, coalesce(r.output_tokens, 0)::numeric as output_tokens, coalesce(r.cache_read_tokens, 0)::numeric as cache_read_tokens, coalesce(r.cache_write_tokens, 0)::numeric as cache_write_tokens, coalesce(r.cache_write_1h_tokens, 0)::numeric as cache_write_1h_tokens, r.cost_usd_ticks::numeric as cost_usd_ticks from old_rows r) i
        group by i.task_id, i.provider, i.model, i.happened_at, i.cost_usd_ticks is null
        having sum(i.sign) <> 0 or sum(i.sign * i.cost_usd_ticks) <> 0 or sum(i.sign * i.input_tokens) <> 0 or sum(i.sign * i.output_tokens) <> 0 or sum(i.sign * i.cache_read_tokens) <> 0 or sum(i.sign * i.cache_write_tokens) <> 0 or sum(i.sign * i.cache_write_1h_tokens) <> 0;
      end if;
      return null;
    end $$;

COMMENT ON FUNCTION tallybook.capture_usage() IS 'Logs what rows of usage contribute, at their task.';

CREATE FUNCTION tallybook.capture_usage_by(form text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET client_min_messages TO 'warning'
    AS $_$
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
end $_$;

COMMENT ON FUNCTION tallybook.capture_usage_by(form text) IS 'Installs the capture of usage, by ''statement'' or by ''row''. Takes SHARE ROW EXCLUSIVE on public.task_usage: no change slips between the two.';

CREATE FUNCTION tallybook.compare(rollup_name text, since timestamp with time zone, until timestamp with time zone, examples_max bigint, OUT day date, OUT keys bigint, OUT drifted_keys bigint, OUT examples jsonb) RETURNS SETOF record
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET "DateStyle" TO 'ISO'
    SET jit TO 'off'
    AS $_$
declare
  r tallybook.rollup;
  bucket text;
begin
  select * into r from tallybook.rollup where name = rollup_name;
  if not found then
    raise exception 'there is no rollup %', quote_nullable(rollup_name) using errcode = 'undefined_table';
  end if;
  bucket := tallybook.bucket_column(r.bucket_width);
  return query execute format($sql$
    with
      both_sides as (
        select true as is_shown, %2$s as bucket, %3$s, %4$s from tallybook.%1$s_now where %2$s >= %5$s and %6$s
        union all
        select false, %7$s, %8$s, %4$s from tallybook.contribution() where %9$s),
      sums as (
        select bucket, %3$s, %10$s, %11$s from both_sides group by bucket, %3$s),
      -- what agrees is only counted: it keeps nothing but its day
      compared as materialized (
        select %12$s as day, is_drifted,
          case when is_drifted then jsonb_build_object('bucket', bucket, %13$s) end as key,
          case when is_drifted then jsonb_build_object(%14$s) end as shown,
          case when is_drifted then jsonb_build_object(%15$s) end as raw
        from (select *, (%16$s) as is_drifted from sums) s),
      examples as (
        select day, jsonb_agg(jsonb_build_object('key', key, 'shown', shown, 'raw', raw) order by key) as examples
        from (select * from compared where is_drifted order by day, key limit $1) e
        group by day)
    select c.day, count(*), count(*) filter (where c.is_drifted), coalesce((select e.examples from examples e where e.day = c.day), '[]')
    from compared c
    group by c.day
    order by c.day$sql$,
    r.name,
    bucket,
    array_to_string(r.dimensions, ', '),
    array_to_string(tallybook.measures(), ', '),
    tallybook.bucket_bound(r.bucket_width, since),
    -- a bucket at infinity, which nobody but a hand can have written, belongs to the last day
    case when until = 'infinity' then 'true' else format('%s < %s', bucket, tallybook.bucket_bound(r.bucket_width, until)) end,
    tallybook.bucket_expression(r.bucket_width, 'bucket_start'),
    (select string_agg(case when d in ('provider', 'model') then d || ' collate "C"' else d end, ', ' order by n) from unnest(r.dimensions) with ordinality as x (d, n)),
    tallybook.happened_in(since, until),
    tallybook.each('coalesce(sum({}) filter (where is_shown), 0) as shown_{}', tallybook.measures()),
    tallybook.each('coalesce(sum({}) filter (where not is_shown), 0) as raw_{}', tallybook.measures()),
    format('greatest(least(%s, ''9999-12-31''), ''0001-01-01'')',
      case bucket when 'bucket_date' then 'bucket' else '(bucket at time zone ''UTC'')::date' end),
    tallybook.each('''{}'', {}', r.dimensions),
    tallybook.each('''{}'', shown_{}', tallybook.measures()),
    tallybook.each('''{}'', raw_{}', tallybook.measures()),
    tallybook.each('shown_{} <> raw_{}', tallybook.measures(), ' or '))
  using examples_max;
end $_$;

COMMENT ON FUNCTION tallybook.compare(rollup_name text, since timestamp with time zone, until timestamp with time zone, examples_max bigint, OUT day date, OUT keys bigint, OUT drifted_keys bigint, OUT examples jsonb) IS 'Compares a now-view with the sums of raw usage, both ways, in the caller''s snapshot: a row for each UTC day that holds keys, with some of those that differ.';

CREATE FUNCTION tallybook.contribution() RETURNS TABLE(happened_at timestamp with time zone, task_id uuid, issue_id uuid, bucket_start timestamp with time zone, workspace_id uuid, runtime_id uuid, agent_id uuid, project_id uuid, provider text, model text, input_tokens numeric, output_tokens numeric, cache_read_tokens numeric, cache_write_tokens numeric, cache_write_1h_tokens numeric, cost_usd_ticks numeric, uncosted_input_tokens numeric, uncosted_output_tokens numeric, uncosted_cache_read_tokens numeric, uncosted_cache_write_tokens numeric, uncosted_cache_write_1h_tokens numeric, event_count bigint)
    LANGUAGE sql STABLE
    AS $$
        select u.happened_at, u.task_id, t.issue_id, tallybook.bucket(u.happened_at), a.workspace_id, t.runtime_id, t.agent_id, i.project_id,
          tallybook.provider_key(u.provider collate "C"), tallybook.name_key(u.model collate "C"), u.input_tokens, u.output_tokens, u.cache_read_tokens, u.cache_write_tokens, u.cache_write_1h_tokens, coalesce(u.cost_usd_ticks, 0), case when u.cost_usd_ticks is null then u.input_tokens else 0 end, case when u.cost_usd_ticks is null then u.output_tokens else 0 end, case when u.cost_usd_ticks is null then u.cache_read_tokens else 0 end, case when u.cost_usd_ticks is null then u.cache_write_tokens else 0 end, case when u.cost_usd_ticks is null then u.cache_write_1h_tokens else 0 end, 1::bigint
        from (select u.task_id as task_id, u.provider::text as provider, u.model::text as model, u.created_at as happened_at, coalesce(u.input_tokens, 0)::numeric as input_tokens, coalesce(u.output_tokens, 0)::numeric as output_tokens, coalesce(u.cache_read_tokens, 0)::numeric as cache_read_tokens, coalesce(u.cache_write_tokens, 0)::numeric as cache_write_tokens, coalesce(u.cache_write_1h_tokens, 0)::numeric as cache_write_1h_tokens, u.cost_usd_ticks::numeric as cost_usd_ticks from public.task_usage u) u
        join public.agent_task_queue t on t.id = u.task_id
        join public.agent a on a.id = t.agent_id
        left join public.issue i on i.id = t.issue_id
      $$;

COMMENT ON FUNCTION tallybook.contribution() IS 'What each row of raw usage contributes: the truth that every now-view equals the sums of.';

CREATE FUNCTION tallybook.create_rollup(rollup_name text, bucket_width interval, dimensions text[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
declare
  bucket constant text := tallybook.bucket_column(bucket_width);
  empty boolean;
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'a rollup cannot be created in isolation level %', current_setting('transaction_isolation') using errcode = 'active_sql_transaction';
  end if;
  perform tallybook.wait_for_fold_lock();
  perform tallybook.lock_sources();
  -- of no usage all sums are there; else backfill makes them
  empty := not exists (select from public.task_usage) and not exists (select from tallybook.usage_change);
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
end $_$;

COMMENT ON FUNCTION tallybook.create_rollup(rollup_name text, bucket_width interval, dimensions text[]) IS 'Declares a rollup: its table, indexes and now-view are made, and fold and backfill keep it from now on.';

CREATE FUNCTION tallybook.days_held(since timestamp with time zone, until timestamp with time zone) RETURNS SETOF date
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET "DateStyle" TO 'ISO'
    SET jit TO 'off'
    AS $_$
declare
  first_day constant date := (since at time zone 'UTC')::date;
  end_day constant date := (until at time zone 'UTC')::date;
begin
  return query execute (
    select $sql$
      -- one look into the index for each day
      with recursive raw (day) as (
        select date_trunc('day', tallybook.bucket(max(created_at)), 'UTC') from public.task_usage having max(created_at) is not null
        union all
        select (
          select date_trunc('day', tallybook.bucket(max(u.created_at)), 'UTC') from public.task_usage u
          where u.created_at < r.day having max(u.created_at) is not null)
        from raw r where r.day > '0001-01-01 00:00+00')
      select held.day from (
        select (day at time zone 'UTC')::date as day from raw where day is not null
        union
        select '0001-01-01' where exists (select from public.task_usage where created_at is null)$sql$
      || coalesce(string_agg(format($sql$
        union
        select greatest(least(%2$s, '9999-12-31'), '0001-01-01') from tallybook.%1$s$sql$,
        name, case tallybook.bucket_column(bucket_width) when 'bucket_date' then 'bucket_date' else '(bucket_start at time zone ''UTC'')::date' end), ''), '')
      || ') held where held.day >= $1 and held.day < $2 order by held.day'
    from tallybook.rollup)
  using first_day, end_day;
end $_$;

COMMENT ON FUNCTION tallybook.days_held(since timestamp with time zone, until timestamp with time zone) IS 'The UTC days, in [since, until), on which there is raw usage or a row of any rollup.';

CREATE FUNCTION tallybook.define_fold() RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
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
end $_$;

COMMENT ON FUNCTION tallybook.define_fold() IS 'Makes the functions that fold into the rollups that are declared.';

CREATE FUNCTION tallybook.define_now_view(rollup_name text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
declare
  r tallybook.rollup;
  key text;
begin
  select * into strict r from tallybook.rollup where name = rollup_name;
  key := tallybook.bucket_column(r.bucket_width) || ', ' || array_to_string(r.dimensions, ', ');
  execute format($view$
    create or replace view tallybook.%1$s_now as
    select %2$s, %3$s, sum(event_count)::bigint as event_count
    from (
      select %2$s, %4$s from tallybook.%1$s
      union all
      select %5$s, %4$s from tallybook.pending() where %6$s
      %7$s) s
    group by %2$s
    having %8$s$view$,
    r.name,
    key,
    tallybook.each('sum({}) as {}', (tallybook.measures())[1:11]),
    array_to_string(tallybook.measures(), ', '),
    tallybook.bucket_expression(r.bucket_width, 'bucket_start') || ', ' || array_to_string(r.dimensions, ', '),
    case when r.reads_raw then format('tallybook.is_seen(%1$L) and bucket_start >= (select covered_from from tallybook.rollup where name = %1$L)', r.name)
         else format('tallybook.is_covered(%L)', r.name) end,
    case when r.reads_raw then format('union all
      select %s, %s, %s from tallybook.contribution() where bucket_start < (select covered_from from tallybook.rollup where name = %L)',
      tallybook.bucket_expression(r.bucket_width, 'bucket_start'),
      (select string_agg(case when d in ('provider', 'model') then d || ' collate "C"' else d end, ', ' order by n) from unnest(r.dimensions) with ordinality as x (d, n)),
      array_to_string(tallybook.measures(), ', '), r.name) else '' end,
    tallybook.each('sum({}) <> 0', tallybook.measures(), ' or '));
  execute format('comment on view tallybook.%s_now is %L', r.name, 'Always exactly the sums of raw usage. Tokens are counts; cost_usd_ticks is in 1e-10 USD.');
end $_$;

COMMENT ON FUNCTION tallybook.define_now_view(rollup_name text) IS 'Makes the now-view of a rollup: the rollup, what is pending, and, as long as it reads raw, the days not covered.';

CREATE FUNCTION tallybook.drop_rollup(rollup_name text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION tallybook.drop_rollup(rollup_name text) IS 'Removes a rollup and what was derived from its declaration. Raw usage stays.';

CREATE FUNCTION tallybook.each(template text, items text[], separator text DEFAULT ', '::text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (SELECT string_agg(replace(each.template, '{}'::text, list.item), each.separator ORDER BY list."position") AS string_agg FROM unnest(each.items) WITH ORDINALITY list(item, "position"));

COMMENT ON FUNCTION tallybook.each(template text, items text[], separator text) IS 'The template once for each item, which takes the place of {}.';

CREATE FUNCTION tallybook.execute_sums(statement text, low xid8 DEFAULT NULL::xid8, opened xid8[] DEFAULT NULL::xid8[], chosen uuid[] DEFAULT NULL::uuid[]) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
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
end $_$;

COMMENT ON FUNCTION tallybook.execute_sums(statement text, low xid8, opened xid8[], chosen uuid[]) IS 'Runs a sum_statement, with what it may name $1, $2 and $3, and removes the rollup rows whose measures all came out as 0. Returns the rows touched.';

CREATE FUNCTION tallybook.finite(measure numeric) RETURNS numeric
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN (measure = ANY (ARRAY['NaN'::numeric, 'Infinity'::numeric, '-Infinity'::numeric])) THEN (0)::numeric ELSE COALESCE(measure, (0)::numeric) END;

COMMENT ON FUNCTION tallybook.finite(measure numeric) IS 'A measure as it enters sums: null, NaN and the infinities are 0.';

CREATE FUNCTION tallybook.fold(batches_max integer, batch_rows bigint) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET lock_timeout TO '5s'
    SET jit TO 'off'
    SET enable_seqscan TO 'off'
    AS $_$
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
end $_$;

COMMENT ON FUNCTION tallybook.fold(batches_max integer, batch_rows bigint) IS 'Adds what is pending to every rollup; more than batch_rows change rows in several batches, at most batches_max of them. Returns the rollup rows touched; 0 when another one is at work.';

CREATE FUNCTION tallybook.fold_everything(low xid8, opened xid8[]) RETURNS TABLE(rollup text, touched bigint, emptied tid[])
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET jit TO 'off'
    SET enable_seqscan TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $_$
    #variable_conflict use_column
    begin
      return query with contributions as (select * from tallybook.pending()), 
    folded_usage as (delete from tallybook.usage_change where xid >= $1 or xid = any ($2)),
    folded_tasks as (delete from tallybook.task_change where xid >= $1 or xid = any ($2)),
    folded_agents as (delete from tallybook.agent_change where xid >= $1 or xid = any ($2)),
    folded_issues as (delete from tallybook.issue_change where xid >= $1 or xid = any ($2)),
    marked as (
      insert into tallybook.fold_mark (id, floor, open, writer)
      select coalesce(max(id), 0) + 1, pg_snapshot_xmax(pg_current_snapshot()),
        array(select pg_snapshot_xip(pg_current_snapshot())) || pg_current_xact_id(), '0'
      from tallybook.fold_mark),
      task_usage_daily as (
        insert into tallybook.task_usage_daily as r (bucket_date, workspace_id, runtime_id, provider, model, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, cost_usd_ticks, uncosted_input_tokens, uncosted_output_tokens, uncosted_cache_read_tokens, uncosted_cache_write_tokens, uncosted_cache_write_1h_tokens, event_count)
        select (c.bucket_start at time zone 'UTC')::date, workspace_id, runtime_id, provider, model, sum(c.input_tokens), sum(c.output_tokens), sum(c.cache_read_tokens), sum(c.cache_write_tokens), sum(c.cache_write_1h_tokens), sum(c.cost_usd_ticks), sum(c.uncosted_input_tokens), sum(c.uncosted_output_tokens), sum(c.uncosted_cache_read_tokens), sum(c.uncosted_cache_write_tokens), sum(c.uncosted_cache_write_1h_tokens), sum(c.event_count) from contributions c
        where c.bucket_start >= (select covered_from from tallybook.rollup where name = 'task_usage_daily') and c.bucket_start < 'infinity'
        group by 1, workspace_id, runtime_id, provider, model
        having sum(c.input_tokens) <> 0 or sum(c.output_tokens) <> 0 or sum(c.cache_read_tokens) <> 0 or sum(c.cache_write_tokens) <> 0 or sum(c.cache_write_1h_tokens) <> 0 or sum(c.cost_usd_ticks) <> 0 or sum(c.uncosted_input_tokens) <> 0 or sum(c.uncosted_output_tokens) <> 0 or sum(c.uncosted_cache_read_tokens) <> 0 or sum(c.uncosted_cache_write_tokens) <> 0 or sum(c.uncosted_cache_write_1h_tokens) <> 0 or sum(c.event_count) <> 0
        on conflict (workspace_id, bucket_date, runtime_id, provider, model) do update set input_tokens = r.input_tokens + excluded.input_tokens, output_tokens = r.output_tokens + excluded.output_tokens, cache_read_tokens = r.cache_read_tokens + excluded.cache_read_tokens, cache_write_tokens = r.cache_write_tokens + excluded.cache_write_tokens, cache_write_1h_tokens = r.cache_write_1h_tokens + excluded.cache_write_1h_tokens, cost_usd_ticks = r.cost_usd_ticks + excluded.cost_usd_ticks, uncosted_input_tokens = r.uncosted_input_tokens + excluded.uncosted_input_tokens, uncosted_output_tokens = r.uncosted_output_tokens + excluded.uncosted_output_tokens, uncosted_cache_read_tokens = r.uncosted_cache_read_tokens + excluded.uncosted_cache_read_tokens, uncosted_cache_write_tokens = r.uncosted_cache_write_tokens + excluded.uncosted_cache_write_tokens, uncosted_cache_write_1h_tokens = r.uncosted_cache_write_1h_tokens + excluded.uncosted_cache_write_1h_tokens, event_count = r.event_count + excluded.event_count
        returning r.ctid, (r.input_tokens = 0 and r.output_tokens = 0 and r.cache_read_tokens = 0 and r.cache_write_tokens = 0 and r.cache_write_1h_tokens = 0 and r.cost_usd_ticks = 0 and r.uncosted_input_tokens = 0 and r.uncosted_output_tokens = 0 and r.uncosted_cache_read_tokens = 0 and r.uncosted_cache_write_tokens = 0 and r.uncosted_cache_write_1h_tokens = 0 and r.event_count = 0) as is_empty), 
      task_usage_quarter_hour as (
        insert into tallybook.task_usage_quarter_hour as r (bucket_start, workspace_id, runtime_id, agent_id, project_id, provider, model, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, cost_usd_ticks, uncosted_input_tokens, uncosted_output_tokens, uncosted_cache_read_tokens, uncosted_cache_write_tokens, uncosted_cache_write_1h_tokens, event_count)
        select c.bucket_start, workspace_id, runtime_id, agent_id, project_id, provider, model, sum(c.input_tokens), sum(c.output_tokens), sum(c.cache_read_tokens), sum(c.cache_write_tokens), sum(c.cache_write_1h_tokens), sum(c.cost_usd_ticks), sum(c.uncosted_input_tokens), sum(c.uncosted_output_tokens), sum(c.uncosted_cache_read_tokens), sum(c.uncosted_cache_write_tokens), sum(c.uncosted_cache_write_1h_tokens), sum(c.event_count) from contributions c
        where c.bucket_start >= (select covered_from from tallybook.rollup where name = 'task_usage_quarter_hour') and c.bucket_start < 'infinity'
        group by 1, workspace_id, runtime_id, agent_id, project_id, provider, model
        having sum(c.input_tokens) <> 0 or sum(c.output_tokens) <> 0 or sum(c.cache_read_tokens) <> 0 or sum(c.cache_write_tokens) <> 0 or sum(c.cache_write_1h_tokens) <> 0 or sum(c.cost_usd_ticks) <> 0 or sum(c.uncosted_input_tokens) <> 0 or sum(c.uncosted_output_tokens) <> 0 or sum(c.uncosted_cache_read_tokens) <> 0 or sum(c.uncosted_cache_write_tokens) <> 0 or sum(c.uncosted_cache_write_1h_tokens) <> 0 or sum(c.event_count) <> 0
        on conflict (workspace_id, bucket_start, runtime_id, agent_id, project_id, provider, model) do update set input_tokens = r.input_tokens + excluded.input_tokens, output_tokens = r.output_tokens + excluded.output_tokens, cache_read_tokens = r.cache_read_tokens + excluded.cache_read_tokens, cache_write_tokens = r.cache_write_tokens + excluded.cache_write_tokens, cache_write_1h_tokens = r.cache_write_1h_tokens + excluded.cache_write_1h_tokens, cost_usd_ticks = r.cost_usd_ticks + excluded.cost_usd_ticks, uncosted_input_tokens = r.uncosted_input_tokens + excluded.uncosted_input_tokens, uncosted_output_tokens = r.uncosted_output_tokens + excluded.uncosted_output_tokens, uncosted_cache_read_tokens = r.uncosted_cache_read_tokens + excluded.uncosted_cache_read_tokens, uncosted_cache_write_tokens = r.uncosted_cache_write_tokens + excluded.uncosted_cache_write_tokens, uncosted_cache_write_1h_tokens = r.uncosted_cache_write_1h_tokens + excluded.uncosted_cache_write_1h_tokens, event_count = r.event_count + excluded.event_count
        returning r.ctid, (r.input_tokens = 0 and r.output_tokens = 0 and r.cache_read_tokens = 0 and r.cache_write_tokens = 0 and r.cache_write_1h_tokens = 0 and r.cost_usd_ticks = 0 and r.uncosted_input_tokens = 0 and r.uncosted_output_tokens = 0 and r.uncosted_cache_read_tokens = 0 and r.uncosted_cache_write_tokens = 0 and r.uncosted_cache_write_1h_tokens = 0 and r.event_count = 0) as is_empty)select 'task_usage_daily' as rollup, count(*) as touched, coalesce(array_agg(ctid) filter (where is_empty), '{}') as emptied from task_usage_daily union all select 'task_usage_quarter_hour' as rollup, count(*) as touched, coalesce(array_agg(ctid) filter (where is_empty), '{}') as emptied from task_usage_quarter_hour;
    end $_$;

COMMENT ON FUNCTION tallybook.fold_everything(low xid8, opened xid8[]) IS 'Adds what is pending to every rollup, removes the change rows that it came from, and marks that: one statement.';

CREATE FUNCTION tallybook.fold_lock_key() RETURNS bigint
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    RETURN (((1413565516)::bigint << 32) | (('tallybook'::regnamespace)::oid)::bigint);

COMMENT ON FUNCTION tallybook.fold_lock_key() IS 'The key of the advisory transaction lock that every writer of rollups holds.';

CREATE FUNCTION tallybook.fold_lock_holder() RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    RETURN COALESCE((SELECT CASE WHEN (l.pid IS NULL) THEN format('prepared transaction %L'::text, (SELECT x.gid FROM (pg_prepared_xacts x JOIN pg_locks own ON (((own.locktype = 'transactionid'::text) AND (own.transactionid = x.transaction)))) WHERE ((own.pid IS NULL) AND (own.virtualtransaction = l.virtualtransaction)))) ELSE format('backend %s (%s)'::text, l.pid, COALESCE(NULLIF(a.application_name, ''::text), 'no application name'::text)) END AS format FROM (pg_locks l LEFT JOIN pg_stat_activity a ON ((a.pid = l.pid))) WHERE ((l.locktype = 'advisory'::text) AND l.granted AND (l.objsubid = 1) AND (l.database = (SELECT pg_database.oid FROM pg_database WHERE (pg_database.datname = current_database()))) AND ((((l.classid)::bigint << 32) | (l.objid)::bigint) = tallybook.fold_lock_key())) LIMIT 1), 'nobody any more'::text);

COMMENT ON FUNCTION tallybook.fold_lock_holder() IS 'Who folds, backfills or rebuilds right now.';

CREATE FUNCTION tallybook.fold_tasks(low xid8, opened xid8[], chosen uuid[]) RETURNS TABLE(rollup text, touched bigint, emptied tid[])
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET jit TO 'off'
    SET enable_seqscan TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $_$
    #variable_conflict use_column
    begin
      return query with contributions as (select * from tallybook.pending_of_tasks($1, $2, $3)), 
    folded_usage as (delete from tallybook.usage_change where (xid >= $1 or xid = any ($2)) and task_id in (select unnest($3))),
    folded_tasks as (delete from tallybook.task_change where (xid >= $1 or xid = any ($2)) and task_id in (select unnest($3))),
      task_usage_daily as (
        insert into tallybook.task_usage_daily as r (bucket_date, workspace_id, runtime_id, provider, model, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, cost_usd_ticks, uncosted_input_tokens, uncosted_output_tokens, uncosted_cache_read_tokens, uncosted_cache_write_tokens, uncosted_cache_write_1h_tokens, event_count)
        select (c.bucket_start at time zone 'UTC')::date, workspace_id, runtime_id, provider, model, sum(c.input_tokens), sum(c.output_tokens), sum(c.cache_read_tokens), sum(c.cache_write_tokens), sum(c.cache_write_1h_tokens), sum(c.cost_usd_ticks), sum(c.uncosted_input_tokens), sum(c.uncosted_output_tokens), sum(c.uncosted_cache_read_tokens), sum(c.uncosted_cache_write_tokens), sum(c.uncosted_cache_write_1h_tokens), sum(c.event_count) from contributions c
        where c.bucket_start >= (select covered_from from tallybook.rollup where name = 'task_usage_daily') and c.bucket_start < 'infinity'
        group by 1, workspace_id, runtime_id, provider, model
        having sum(c.input_tokens) <> 0 or sum(c.output_tokens) <> 0 or sum(c.cache_read_tokens) <> 0 or sum(c.cache_write_tokens) <> 0 or sum(c.cache_write_1h_tokens) <> 0 or sum(c.cost_usd_ticks) <> 0 or sum(c.uncosted_input_tokens) <> 0 or sum(c.uncosted_output_tokens) <> 0 or sum(c.uncosted_cache_read_tokens) <> 0 or sum(c.uncosted_cache_write_tokens) <> 0 or sum(c.uncosted_cache_write_1h_tokens) <> 0 or sum(c.event_count) <> 0
        on conflict (workspace_id, bucket_date, runtime_id, provider, model) do update set input_tokens = r.input_tokens + excluded.input_tokens, output_tokens = r.output_tokens + excluded.output_tokens, cache_read_tokens = r.cache_read_tokens + excluded.cache_read_tokens, cache_write_tokens = r.cache_write_tokens + excluded.cache_write_tokens, cache_write_1h_tokens = r.cache_write_1h_tokens + excluded.cache_write_1h_tokens, cost_usd_ticks = r.cost_usd_ticks + excluded.cost_usd_ticks, uncosted_input_tokens = r.uncosted_input_tokens + excluded.uncosted_input_tokens, uncosted_output_tokens = r.uncosted_output_tokens + excluded.uncosted_output_tokens, uncosted_cache_read_tokens = r.uncosted_cache_read_tokens + excluded.uncosted_cache_read_tokens, uncosted_cache_write_tokens = r.uncosted_cache_write_tokens + excluded.uncosted_cache_write_tokens, uncosted_cache_write_1h_tokens = r.uncosted_cache_write_1h_tokens + excluded.uncosted_cache_write_1h_tokens, event_count = r.event_count + excluded.event_count
        returning r.ctid, (r.input_tokens = 0 and r.output_tokens = 0 and r.cache_read_tokens = 0 and r.cache_write_tokens = 0 and r.cache_write_1h_tokens = 0 and r.cost_usd_ticks = 0 and r.uncosted_input_tokens = 0 and r.uncosted_output_tokens = 0 and r.uncosted_cache_read_tokens = 0 and r.uncosted_cache_write_tokens = 0 and r.uncosted_cache_write_1h_tokens = 0 and r.event_count = 0) as is_empty), 
      task_usage_quarter_hour as (
        insert into tallybook.task_usage_quarter_hour as r (bucket_start, workspace_id, runtime_id, agent_id, project_id, provider, model, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, cost_usd_ticks, uncosted_input_tokens, uncosted_output_tokens, uncosted_cache_read_tokens, uncosted_cache_write_tokens, uncosted_cache_write_1h_tokens, event_count)
        select c.bucket_start, workspace_id, runtime_id, agent_id, project_id, provider, model, sum(c.input_tokens), sum(c.output_tokens), sum(c.cache_read_tokens), sum(c.cache_write_tokens), sum(c.cache_write_1h_tokens), sum(c.cost_usd_ticks), sum(c.uncosted_input_tokens), sum(c.uncosted_output_tokens), sum(c.uncosted_cache_read_tokens), sum(c.uncosted_cache_write_tokens), sum(c.uncosted_cache_write_1h_tokens), sum(c.event_count) from contributions c
        where c.bucket_start >= (select covered_from from tallybook.rollup where name = 'task_usage_quarter_hour') and c.bucket_start < 'infinity'
        group by 1, workspace_id, runtime_id, agent_id, project_id, provider, model
        having sum(c.input_tokens) <> 0 or sum(c.output_tokens) <> 0 or sum(c.cache_read_tokens) <> 0 or sum(c.cache_write_tokens) <> 0 or sum(c.cache_write_1h_tokens) <> 0 or sum(c.cost_usd_ticks) <> 0 or sum(c.uncosted_input_tokens) <> 0 or sum(c.uncosted_output_tokens) <> 0 or sum(c.uncosted_cache_read_tokens) <> 0 or sum(c.uncosted_cache_write_tokens) <> 0 or sum(c.uncosted_cache_write_1h_tokens) <> 0 or sum(c.event_count) <> 0
        on conflict (workspace_id, bucket_start, runtime_id, agent_id, project_id, provider, model) do update set input_tokens = r.input_tokens + excluded.input_tokens, output_tokens = r.output_tokens + excluded.output_tokens, cache_read_tokens = r.cache_read_tokens + excluded.cache_read_tokens, cache_write_tokens = r.cache_write_tokens + excluded.cache_write_tokens, cache_write_1h_tokens = r.cache_write_1h_tokens + excluded.cache_write_1h_tokens, cost_usd_ticks = r.cost_usd_ticks + excluded.cost_usd_ticks, uncosted_input_tokens = r.uncosted_input_tokens + excluded.uncosted_input_tokens, uncosted_output_tokens = r.uncosted_output_tokens + excluded.uncosted_output_tokens, uncosted_cache_read_tokens = r.uncosted_cache_read_tokens + excluded.uncosted_cache_read_tokens, uncosted_cache_write_tokens = r.uncosted_cache_write_tokens + excluded.uncosted_cache_write_tokens, uncosted_cache_write_1h_tokens = r.uncosted_cache_write_1h_tokens + excluded.uncosted_cache_write_1h_tokens, event_count = r.event_count + excluded.event_count
        returning r.ctid, (r.input_tokens = 0 and r.output_tokens = 0 and r.cache_read_tokens = 0 and r.cache_write_tokens = 0 and r.cache_write_1h_tokens = 0 and r.cost_usd_ticks = 0 and r.uncosted_input_tokens = 0 and r.uncosted_output_tokens = 0 and r.uncosted_cache_read_tokens = 0 and r.uncosted_cache_write_tokens = 0 and r.uncosted_cache_write_1h_tokens = 0 and r.event_count = 0) as is_empty)select 'task_usage_daily' as rollup, count(*) as touched, coalesce(array_agg(ctid) filter (where is_empty), '{}') as emptied from task_usage_daily union all select 'task_usage_quarter_hour' as rollup, count(*) as touched, coalesce(array_agg(ctid) filter (where is_empty), '{}') as emptied from task_usage_quarter_hour;
    end $_$;

COMMENT ON FUNCTION tallybook.fold_tasks(low xid8, opened xid8[], chosen uuid[]) IS 'Adds what is pending of some tasks alone to every rollup, and removes the change rows that it came from: one statement.';

CREATE FUNCTION tallybook.happened_in(since timestamp with time zone, until timestamp with time zone) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET "DateStyle" TO 'ISO'
    RETURN CASE WHEN ((until <= '0001-01-01 00:00:00+00'::timestamp with time zone) OR (since > '9999-12-31 00:00:00+00'::timestamp with time zone)) THEN 'false'::text ELSE concat_ws(' and '::text, 'true', CASE WHEN (since > '0001-01-01 00:00:00+00'::timestamp with time zone) THEN format('happened_at >= %L'::text, since) ELSE NULL::text END, CASE WHEN (until > '9999-12-31 00:00:00+00'::timestamp with time zone) THEN NULL::text WHEN (since > '0001-01-01 00:00:00+00'::timestamp with time zone) THEN format('happened_at < %L'::text, until) ELSE format('(happened_at < %L or happened_at is null)'::text, until) END) END;

COMMENT ON FUNCTION tallybook.happened_in(since timestamp with time zone, until timestamp with time zone) IS 'SQL: a condition on happened_at, which finds the index on created_at, for the rows whose buckets lie in whole UTC days, [since, until).';

CREATE FUNCTION tallybook.is_covered(rollup_name text) RETURNS boolean
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  perform tallybook.is_seen(rollup_name);
  if (select covered_from from tallybook.rollup where name = rollup_name) is distinct from '-infinity'::timestamptz then
    raise exception 'the view of % is newer than this snapshot', rollup_name using errcode = 'serialization_failure', hint = 'Retry the transaction.';
  end if;
  return true;
end $$;

COMMENT ON FUNCTION tallybook.is_covered(rollup_name text) IS 'True where the snapshot sees the rollup wholly covered. Else 40001: a changed view is seen at once by snapshots that are older than the change.';

CREATE FUNCTION tallybook.is_pending() RETURNS boolean
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET jit TO 'off'
    SET enable_seqscan TO 'off'
    SET enable_indexonlyscan TO 'off'
    AS $$
declare
  low xid8;
  opened xid8[];
begin
  select * into low, opened from tallybook.mark();
  return exists (select from tallybook.usage_change where xid >= low or xid = any (opened))
    or exists (select from tallybook.task_change where xid >= low or xid = any (opened))
    or exists (select from tallybook.agent_change where xid >= low or xid = any (opened))
    or exists (select from tallybook.issue_change where xid >= low or xid = any (opened));
end $$;

COMMENT ON FUNCTION tallybook.is_pending() IS 'Whether any change row waits to be folded.';

CREATE FUNCTION tallybook.is_seen(rollup_name text) RETURNS boolean
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  -- names are looked up as they are now, rows of the catalog as the snapshot sees them
  if not exists (select from pg_class where oid = to_regclass('tallybook.' || rollup_name)) then
    raise exception 'the rollup % is newer than this snapshot', rollup_name using errcode = 'serialization_failure', hint = 'Retry the transaction.';
  end if;
  return true;
end $$;

COMMENT ON FUNCTION tallybook.is_seen(rollup_name text) IS 'True where the snapshot is not older than the rollup''s table, or the table made anew. Else 40001: it would be empty, not exact.';

CREATE FUNCTION tallybook.lock_sources() RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION tallybook.lock_sources() IS 'Keeps the source tables from being rewritten until the transaction ends, and fails when they are not captured.';

CREATE FUNCTION tallybook.long_name_key(name text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  return left(name, 40) || '~' || encode(sha256(convert_to(name, 'UTF8')), 'hex');
end $$;

COMMENT ON FUNCTION tallybook.long_name_key(name text) IS 'A name that is too long for an index row, as it enters keys: its beginning and a digest.';

CREATE FUNCTION tallybook.mark(OUT floor xid8, OUT open xid8[]) RETURNS record
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  select case when m.writer = m.xmin then m.floor else '0'::xid8 end, case when m.writer = m.xmin then m.open else '{}'::xid8[] end into floor, open
  from tallybook.fold_mark m order by m.id desc limit 1;
  if not found then
    floor := '0';
    open := '{}';
  end if;
end $$;

COMMENT ON FUNCTION tallybook.mark(OUT floor xid8, OUT open xid8[]) IS 'Which change rows may still be there: xid >= floor or xid = any (open).';

CREATE FUNCTION tallybook.token_measures() RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ARRAY['input_tokens'::text, 'output_tokens'::text, 'cache_read_tokens'::text, 'cache_write_tokens'::text, 'cache_write_1h_tokens'::text];

COMMENT ON FUNCTION tallybook.token_measures() IS 'The disjoint token counts of a usage row.';

CREATE FUNCTION tallybook.measures() RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (tallybook.token_measures() || ARRAY['cost_usd_ticks'::text, 'uncosted_input_tokens'::text, 'uncosted_output_tokens'::text, 'uncosted_cache_read_tokens'::text, 'uncosted_cache_write_tokens'::text, 'uncosted_cache_write_1h_tokens'::text, 'event_count'::text]);

COMMENT ON FUNCTION tallybook.measures() IS 'What rollups sum: tokens; the cost that providers named, in 1e-10 USD; the tokens of rows for which they named none; the number of rows.';

CREATE FUNCTION tallybook.measures_of(image text, sign text DEFAULT ''::text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (((((((((tallybook.each(((('sum('::text || sign) || image) || '.{}) as {}'::text), tallybook.token_measures()) || ', coalesce(sum('::text) || sign) || image) || '.cost_usd_ticks), 0) as cost_usd_ticks, '::text) || tallybook.each(((((('coalesce(sum('::text || sign) || image) || '.{}) filter (where '::text) || image) || '.cost_usd_ticks is null), 0) as uncosted_{}'::text), tallybook.token_measures())) || ', sum('::text) || sign) || image) || '.event_count)::bigint as event_count'::text);

COMMENT ON FUNCTION tallybook.measures_of(image text, sign text) IS 'SQL: the sums of the measures of images; sign is a factor, such as ''s.sign * ''.';

CREATE FUNCTION tallybook.name_key(name text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN (octet_length(name) <= 256) THEN name WHEN (name IS NULL) THEN ''::text ELSE tallybook.long_name_key(name) END;

COMMENT ON FUNCTION tallybook.name_key(name text) IS 'A provider''s or model''s name as it enters keys: null is the empty name, one of over 256 bytes is cut and digested.';

CREATE FUNCTION tallybook.pending() RETURNS SETOF tallybook.contribution
    LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 500
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET jit TO 'off'
    SET enable_seqscan TO 'off'
    SET enable_indexonlyscan TO 'off'
    AS $$
declare
  -- a look-up costs about as much as ten rows of a scan
  lookups_max constant bigint := (select greatest(20000, reltuples / 10) from pg_class where oid = 'public.agent_task_queue'::regclass);
  low xid8;
  opened xid8[];
  lookups bigint;
begin
  perform tallybook.refuse_rewritten();
  if not tallybook.is_pending() then
    return;
  end if;
  select * into low, opened from tallybook.mark();
  select (select count(*) from (select from tallybook.usage_change where xid >= low or xid = any (opened) limit lookups_max) x)
    + (select count(*) from (select from tallybook.task_change where xid >= low or xid = any (opened) limit lookups_max) x)
    + (select count(*) from (select from tallybook.agent_change c join public.agent_task_queue t on t.agent_id = c.agent_id
        where c.xid >= low or c.xid = any (opened) limit lookups_max) x)
    + (select count(*) from (select from tallybook.issue_change c join public.agent_task_queue t on t.issue_id = c.issue_id
        where c.xid >= low or c.xid = any (opened) limit lookups_max) x)
  into lookups;
  if lookups < lookups_max then
    return query select * from tallybook.pending_by_lookup(low, opened);
  else
    return query select * from tallybook.pending_by_join(low, opened);
  end if;
end $$;

COMMENT ON FUNCTION tallybook.pending() IS 'What the rollups do not show yet, in the caller''s snapshot: contributions now minus contributions in the state that they show.';

CREATE FUNCTION tallybook.pending_by_join(low xid8, opened xid8[]) RETURNS SETOF tallybook.contribution
    LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 500
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET jit TO 'off'
    SET enable_seqscan TO 'on'
    SET plan_cache_mode TO 'force_custom_plan'
    AS $$
    begin
      if exists (select from tallybook.task_change where (xid >= low or xid = any (opened))) or exists (select from tallybook.agent_change where (xid >= low or xid = any (opened)))
          or exists (select from tallybook.issue_change where (xid >= low or xid = any (opened))) then
        return query 
    with
      -- what was captured and is not folded
      usage_changes as materialized (
        select c.task_id, tallybook.provider_key(c.provider collate "C") as provider, tallybook.name_key(c.model collate "C") as model, tallybook.bucket(c.happened_at) as bucket_start, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, cost_usd_ticks, event_count from tallybook.usage_change c where (xid >= low or xid = any (opened))),
      task_changes as materialized (
        select task_id, agent_id, runtime_id, issue_id, sign from tallybook.task_change where (xid >= low or xid = any (opened))),
      agent_changes as materialized (
        select agent_id, workspace_id, sign from tallybook.agent_change where (xid >= low or xid = any (opened))),
      issue_changes as materialized (
        select issue_id, project_id, sign from tallybook.issue_change where (xid >= low or xid = any (opened))),
      -- tasks whose key may differ between then and now; one that left an agent or an issue is in task_changes itself
      moved as materialized (
        select distinct task_id from task_changes 
        union select t.id from (select distinct agent_id from agent_changes) c
          cross join lateral (select id from public.agent_task_queue where agent_id = c.agent_id ) t
        union select t.id from (select distinct issue_id from issue_changes) c
          cross join lateral (select id from public.agent_task_queue where issue_id = c.issue_id ) t),
      usage_now as materialized (
        select u.* from moved m
        cross join lateral (
          select c.task_id, tallybook.provider_key(c.provider collate "C") as provider, tallybook.name_key(c.model collate "C") as model, tallybook.bucket(c.happened_at) as bucket_start, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, cost_usd_ticks, 1::bigint as event_count
          from (select r.task_id as task_id, r.provider::text as provider, r.model::text as model, r.created_at as happened_at, coalesce(r.input_tokens, 0)::numeric as input_tokens, coalesce(r.output_tokens, 0)::numeric as output_tokens, coalesce(r.cache_read_tokens, 0)::numeric as cache_read_tokens, coalesce(r.cache_write_tokens, 0)::numeric as cache_write_tokens, coalesce(r.cache_write_1h_tokens, 0)::numeric as cache_write_1h_tokens, r.cost_usd_ticks::numeric as cost_usd_ticks from public.task_usage r where r.task_id = m.task_id ) c) u),
      task_now as materialized (
        select s.task_id, t.agent_id, t.runtime_id, t.issue_id
        from (select task_id from usage_changes union select task_id from task_changes) s
        cross join lateral (select agent_id, runtime_id, issue_id from public.agent_task_queue where id = s.task_id ) t),
      task_then as materialized (
        select task_id, agent_id, runtime_id, issue_id
        from (
          select m.task_id, t.agent_id, t.runtime_id, t.issue_id, 1 as sign
          from moved m
          cross join lateral (select agent_id, runtime_id, issue_id from public.agent_task_queue where id = m.task_id ) t
          union all select task_id, agent_id, runtime_id, issue_id, -sign from task_changes) x
        group by task_id, agent_id, runtime_id, issue_id having sum(sign) <> 0),
      agent_then as materialized (
        select agent_id, workspace_id
        from (
          select t.agent_id, a.workspace_id, 1 as sign
          from (select agent_id from task_then union select agent_id from task_then) t
          cross join lateral (select workspace_id from public.agent where id = t.agent_id ) a
          union all select agent_id, workspace_id, -sign from agent_changes) x
        group by agent_id, workspace_id having sum(sign) <> 0),
      issue_then as materialized (
        select issue_id, project_id
        from (
          select t.issue_id, i.project_id, 1 as sign
          from (select issue_id from task_then union select issue_id from task_then) t
          cross join lateral (select project_id from public.issue where id = t.issue_id ) i
          union all select issue_id, project_id, -sign from issue_changes) x
        group by issue_id, project_id having sum(sign) <> 0),
      signed as (
        -- at the key now: all usage of moved tasks, and what changed of the others
        select 1 as sign, d.*, t.runtime_id, t.agent_id, a.workspace_id, i.project_id
        from (
          select * from usage_now
          union all select c.* from usage_changes c where not exists (select from moved m where m.task_id = c.task_id)) d
        cross join lateral (select agent_id, runtime_id, issue_id from public.agent_task_queue where id = d.task_id ) t
        cross join lateral (select workspace_id from public.agent where id = t.agent_id ) a
        left join lateral (select project_id from public.issue where id = t.issue_id ) i on true
        union all
        -- at the key then, taken away: the usage of moved tasks as it was, which is now minus what changed
        select d.*, t.runtime_id, t.agent_id, a.workspace_id, i.project_id
        from (
          select -1 as sign, u.* from usage_now u
          union all select 1, c.* from usage_changes c where exists (select from moved m where m.task_id = c.task_id)) d
        join task_then t on t.task_id = d.task_id
        join agent_then a on a.agent_id = t.agent_id
        left join issue_then i on i.issue_id = t.issue_id)
    select x.bucket_start, x.workspace_id, x.runtime_id, x.agent_id, x.project_id, x.provider, x.model, sum(x.sign * x.input_tokens) as input_tokens, sum(x.sign * x.output_tokens) as output_tokens, sum(x.sign * x.cache_read_tokens) as cache_read_tokens, sum(x.sign * x.cache_write_tokens) as cache_write_tokens, sum(x.sign * x.cache_write_1h_tokens) as cache_write_1h_tokens, coalesce(sum(x.sign * x.cost_usd_ticks), 0) as cost_usd_ticks, coalesce(sum(x.sign * x.input_tokens) filter (where x.cost_usd_ticks is null), 0) as uncosted_input_tokens, coalesce(sum(x.sign * x.output_tokens) filter (where x.cost_usd_ticks is null), 0) as uncosted_output_tokens, coalesce(sum(x.sign * x.cache_read_tokens) filter (where x.cost_usd_ticks is null), 0) as uncosted_cache_read_tokens, coalesce(sum(x.sign * x.cache_write_tokens) filter (where x.cost_usd_ticks is null), 0) as uncosted_cache_write_tokens, coalesce(sum(x.sign * x.cache_write_1h_tokens) filter (where x.cost_usd_ticks is null), 0) as uncosted_cache_write_1h_tokens, sum(x.sign * x.event_count)::bigint as event_count
    from signed x
    group by x.bucket_start, x.workspace_id, x.runtime_id, x.agent_id, x.project_id, x.provider, x.model
  ;
      else
        return query 
    select d.bucket_start, a.workspace_id, t.runtime_id, t.agent_id, i.project_id, d.provider, d.model, sum(d.input_tokens) as input_tokens, sum(d.output_tokens) as output_tokens, sum(d.cache_read_tokens) as cache_read_tokens, sum(d.cache_write_tokens) as cache_write_tokens, sum(d.cache_write_1h_tokens) as cache_write_1h_tokens, coalesce(sum(d.cost_usd_ticks), 0) as cost_usd_ticks, coalesce(sum(d.input_tokens) filter (where d.cost_usd_ticks is null), 0) as uncosted_input_tokens, coalesce(sum(d.output_tokens) filter (where d.cost_usd_ticks is null), 0) as uncosted_output_tokens, coalesce(sum(d.cache_read_tokens) filter (where d.cost_usd_ticks is null), 0) as uncosted_cache_read_tokens, coalesce(sum(d.cache_write_tokens) filter (where d.cost_usd_ticks is null), 0) as uncosted_cache_write_tokens, coalesce(sum(d.cache_write_1h_tokens) filter (where d.cost_usd_ticks is null), 0) as uncosted_cache_write_1h_tokens, sum(d.event_count)::bigint as event_count
    from (
      select c.task_id, tallybook.provider_key(c.provider collate "C") as provider, tallybook.name_key(c.model collate "C") as model, tallybook.bucket(c.happened_at) as bucket_start, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, cost_usd_ticks, event_count from tallybook.usage_change c where (xid >= low or xid = any (opened)) ) d
    cross join lateral (select agent_id, runtime_id, issue_id from public.agent_task_queue where id = d.task_id ) t
        cross join lateral (select workspace_id from public.agent where id = t.agent_id ) a
        left join lateral (select project_id from public.issue where id = t.issue_id ) i on true
    group by d.bucket_start, a.workspace_id, t.runtime_id, t.agent_id, i.project_id, d.provider, d.model
  ;
      end if;
    end $$;

COMMENT ON FUNCTION tallybook.pending_by_join(low xid8, opened xid8[]) IS 'What is pending, planned set-wise: for large backlogs.';

CREATE FUNCTION tallybook.pending_by_lookup(low xid8, opened xid8[]) RETURNS SETOF tallybook.contribution
    LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 500
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET jit TO 'off'
    SET enable_nestloop TO 'off'
    SET enable_mergejoin TO 'off'
    SET enable_seqscan TO 'off'
    SET enable_sort TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
    begin
      if exists (select from tallybook.task_change where (xid >= low or xid = any (opened))) or exists (select from tallybook.agent_change where (xid >= low or xid = any (opened)))
          or exists (select from tallybook.issue_change where (xid >= low or xid = any (opened))) then
        return query 
    with
      -- what was captured and is not folded
      usage_changes as materialized (
        select c.task_id, tallybook.provider_key(c.provider collate "C") as provider, tallybook.name_key(c.model collate "C") as model, tallybook.bucket(c.happened_at) as bucket_start, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, cost_usd_ticks, event_count from tallybook.usage_change c where (xid >= low or xid = any (opened))),
      task_changes as materialized (
        select task_id, agent_id, runtime_id, issue_id, sign from tallybook.task_change where (xid >= low or xid = any (opened))),
      agent_changes as materialized (
        select agent_id, workspace_id, sign from tallybook.agent_change where (xid >= low or xid = any (opened))),
      issue_changes as materialized (
        select issue_id, project_id, sign from tallybook.issue_change where (xid >= low or xid = any (opened))),
      -- tasks whose key may differ between then and now; one that left an agent or an issue is in task_changes itself
      moved as materialized (
        select distinct task_id from task_changes 
        union select t.id from (select distinct agent_id from agent_changes) c
          cross join lateral (select id from public.agent_task_queue where agent_id = c.agent_id offset 0) t
        union select t.id from (select distinct issue_id from issue_changes) c
          cross join lateral (select id from public.agent_task_queue where issue_id = c.issue_id offset 0) t),
      usage_now as materialized (
        select u.* from moved m
        cross join lateral (
          select c.task_id, tallybook.provider_key(c.provider collate "C") as provider, tallybook.name_key(c.model collate "C") as model, tallybook.bucket(c.happened_at) as bucket_start, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, cost_usd_ticks, 1::bigint as event_count
          from (select r.task_id as task_id, r.provider::text as provider, r.model::text as model, r.created_at as happened_at, coalesce(r.input_tokens, 0)::numeric as input_tokens, coalesce(r.output_tokens, 0)::numeric as output_tokens, coalesce(r.cache_read_tokens, 0)::numeric as cache_read_tokens, coalesce(r.cache_write_tokens, 0)::numeric as cache_write_tokens, coalesce(r.cache_write_1h_tokens, 0)::numeric as cache_write_1h_tokens, r.cost_usd_ticks::numeric as cost_usd_ticks from public.task_usage r where r.task_id = m.task_id offset 0) c) u),
      task_now as materialized (
        select s.task_id, t.agent_id, t.runtime_id, t.issue_id
        from (select task_id from usage_changes union select task_id from task_changes) s
        cross join lateral (select agent_id, runtime_id, issue_id from public.agent_task_queue where id = s.task_id offset 0) t),
      task_then as materialized (
        select task_id, agent_id, runtime_id, issue_id
        from (
          select m.task_id, t.agent_id, t.runtime_id, t.issue_id, 1 as sign
          from moved m
          cross join lateral (select agent_id, runtime_id, issue_id from public.agent_task_queue where id = m.task_id offset 0) t
          union all select task_id, agent_id, runtime_id, issue_id, -sign from task_changes) x
        group by task_id, agent_id, runtime_id, issue_id having sum(sign) <> 0),
      agent_then as materialized (
        select agent_id, workspace_id
        from (
          select t.agent_id, a.workspace_id, 1 as sign
          from (select agent_id from task_then union select agent_id from task_then) t
          cross join lateral (select workspace_id from public.agent where id = t.agent_id offset 0) a
          union all select agent_id, workspace_id, -sign from agent_changes) x
        group by agent_id, workspace_id having sum(sign) <> 0),
      issue_then as materialized (
        select issue_id, project_id
        from (
          select t.issue_id, i.project_id, 1 as sign
          from (select issue_id from task_then union select issue_id from task_then) t
          cross join lateral (select project_id from public.issue where id = t.issue_id offset 0) i
          union all select issue_id, project_id, -sign from issue_changes) x
        group by issue_id, project_id having sum(sign) <> 0),
      signed as (
        -- at the key now: all usage of moved tasks, and what changed of the others
        select 1 as sign, d.*, t.runtime_id, t.agent_id, a.workspace_id, i.project_id
        from (
          select * from usage_now
          union all select c.* from usage_changes c where not exists (select from moved m where m.task_id = c.task_id)) d
        cross join lateral (select agent_id, runtime_id, issue_id from public.agent_task_queue where id = d.task_id offset 0) t
        cross join lateral (select workspace_id from public.agent where id = t.agent_id offset 0) a
        left join lateral (select project_id from public.issue where id = t.issue_id offset 0) i on true
        union all
        -- at the key then, taken away: the usage of moved tasks as it was, which is now minus what changed
        select d.*, t.runtime_id, t.agent_id, a.workspace_id, i.project_id
        from (
          select -1 as sign, u.* from usage_now u
          union all select 1, c.* from usage_changes c where exists (select from moved m where m.task_id = c.task_id)) d
        join task_then t on t.task_id = d.task_id
        join agent_then a on a.agent_id = t.agent_id
        left join issue_then i on i.issue_id = t.issue_id)
    select x.bucket_start, x.workspace_id, x.runtime_id, x.agent_id, x.project_id, x.provider, x.model, sum(x.sign * x.input_tokens) as input_tokens, sum(x.sign * x.output_tokens) as output_tokens, sum(x.sign * x.cache_read_tokens) as cache_read_tokens, sum(x.sign * x.cache_write_tokens) as cache_write_tokens, sum(x.sign * x.cache_write_1h_tokens) as cache_write_1h_tokens, coalesce(sum(x.sign * x.cost_usd_ticks), 0) as cost_usd_ticks, coalesce(sum(x.sign * x.input_tokens) filter (where x.cost_usd_ticks is null), 0) as uncosted_input_tokens, coalesce(sum(x.sign * x.output_tokens) filter (where x.cost_usd_ticks is null), 0) as uncosted_output_tokens, coalesce(sum(x.sign * x.cache_read_tokens) filter (where x.cost_usd_ticks is null), 0) as uncosted_cache_read_tokens, coalesce(sum(x.sign * x.cache_write_tokens) filter (where x.cost_usd_ticks is null), 0) as uncosted_cache_write_tokens, coalesce(sum(x.sign * x.cache_write_1h_tokens) filter (where x.cost_usd_ticks is null), 0) as uncosted_cache_write_1h_tokens, sum(x.sign * x.event_count)::bigint as event_count
    from signed x
    group by x.bucket_start, x.workspace_id, x.runtime_id, x.agent_id, x.project_id, x.provider, x.model
  ;
      else
        return query 
    select d.bucket_start, a.workspace_id, t.runtime_id, t.agent_id, i.project_id, d.provider, d.model, sum(d.input_tokens) as input_tokens, sum(d.output_tokens) as output_tokens, sum(d.cache_read_tokens) as cache_read_tokens, sum(d.cache_write_tokens) as cache_write_tokens, sum(d.cache_write_1h_tokens) as cache_write_1h_tokens, coalesce(sum(d.cost_usd_ticks), 0) as cost_usd_ticks, coalesce(sum(d.input_tokens) filter (where d.cost_usd_ticks is null), 0) as uncosted_input_tokens, coalesce(sum(d.output_tokens) filter (where d.cost_usd_ticks is null), 0) as uncosted_output_tokens, coalesce(sum(d.cache_read_tokens) filter (where d.cost_usd_ticks is null), 0) as uncosted_cache_read_tokens, coalesce(sum(d.cache_write_tokens) filter (where d.cost_usd_ticks is null), 0) as uncosted_cache_write_tokens, coalesce(sum(d.cache_write_1h_tokens) filter (where d.cost_usd_ticks is null), 0) as uncosted_cache_write_1h_tokens, sum(d.event_count)::bigint as event_count
    from (
      select c.task_id, tallybook.provider_key(c.provider collate "C") as provider, tallybook.name_key(c.model collate "C") as model, tallybook.bucket(c.happened_at) as bucket_start, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, cost_usd_ticks, event_count from tallybook.usage_change c where (xid >= low or xid = any (opened)) offset 0) d
    cross join lateral (select agent_id, runtime_id, issue_id from public.agent_task_queue where id = d.task_id offset 0) t
        cross join lateral (select workspace_id from public.agent where id = t.agent_id offset 0) a
        left join lateral (select project_id from public.issue where id = t.issue_id offset 0) i on true
    group by d.bucket_start, a.workspace_id, t.runtime_id, t.agent_id, i.project_id, d.provider, d.model
  ;
      end if;
    end $$;

COMMENT ON FUNCTION tallybook.pending_by_lookup(low xid8, opened xid8[]) IS 'What is pending, by index look-ups: for small backlogs.';

CREATE FUNCTION tallybook.pending_of_tasks(low xid8, opened xid8[], chosen uuid[]) RETURNS SETOF tallybook.contribution
    LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 500
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET jit TO 'off'
    SET enable_nestloop TO 'off'
    SET enable_mergejoin TO 'off'
    SET enable_seqscan TO 'off'
    SET enable_sort TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
    begin
      return query 
    with
      -- what was captured and is not folded
      usage_changes as materialized (
        select c.task_id, tallybook.provider_key(c.provider collate "C") as provider, tallybook.name_key(c.model collate "C") as model, tallybook.bucket(c.happened_at) as bucket_start, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, cost_usd_ticks, event_count from tallybook.usage_change c where (xid >= low or xid = any (opened)) and task_id in (select unnest(chosen))),
      task_changes as materialized (
        select task_id, agent_id, runtime_id, issue_id, sign from tallybook.task_change where (xid >= low or xid = any (opened)) and task_id in (select unnest(chosen))),
      agent_changes as materialized (
        select agent_id, workspace_id, sign from tallybook.agent_change where (xid >= low or xid = any (opened))),
      issue_changes as materialized (
        select issue_id, project_id, sign from tallybook.issue_change where (xid >= low or xid = any (opened))),
      -- tasks whose key may differ between then and now; one that left an agent or an issue is in task_changes itself
      moved as materialized (
        select distinct task_id from task_changes ),
      usage_now as materialized (
        select u.* from moved m
        cross join lateral (
          select c.task_id, tallybook.provider_key(c.provider collate "C") as provider, tallybook.name_key(c.model collate "C") as model, tallybook.bucket(c.happened_at) as bucket_start, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, cost_usd_ticks, 1::bigint as event_count
          from (select r.task_id as task_id, r.provider::text as provider, r.model::text as model, r.created_at as happened_at, coalesce(r.input_tokens, 0)::numeric as input_tokens, coalesce(r.output_tokens, 0)::numeric as output_tokens, coalesce(r.cache_read_tokens, 0)::numeric as cache_read_tokens, coalesce(r.cache_write_tokens, 0)::numeric as cache_write_tokens, coalesce(r.cache_write_1h_tokens, 0)::numeric as cache_write_1h_tokens, r.cost_usd_ticks::numeric as cost_usd_ticks from public.task_usage r where r.task_id = m.task_id offset 0) c) u),
      task_now as materialized (
        select s.task_id, t.agent_id, t.runtime_id, t.issue_id
        from (select task_id from usage_changes union select task_id from task_changes) s
        cross join lateral (select agent_id, runtime_id, issue_id from public.agent_task_queue where id = s.task_id offset 0) t),
      task_then as materialized (
        select task_id, agent_id, runtime_id, issue_id
        from (
          select m.task_id, t.agent_id, t.runtime_id, t.issue_id, 1 as sign
          from moved m
          cross join lateral (select agent_id, runtime_id, issue_id from public.agent_task_queue where id = m.task_id offset 0) t
          union all select task_id, agent_id, runtime_id, issue_id, -sign from task_changes) x
        group by task_id, agent_id, runtime_id, issue_id having sum(sign) <> 0),
      agent_then as materialized (
        select agent_id, workspace_id
        from (
          select t.agent_id, a.workspace_id, 1 as sign
          from (select agent_id from task_then union select agent_id from task_now) t
          cross join lateral (select workspace_id from public.agent where id = t.agent_id offset 0) a
          union all select agent_id, workspace_id, -sign from agent_changes) x
        group by agent_id, workspace_id having sum(sign) <> 0),
      issue_then as materialized (
        select issue_id, project_id
        from (
          select t.issue_id, i.project_id, 1 as sign
          from (select issue_id from task_then union select issue_id from task_now) t
          cross join lateral (select project_id from public.issue where id = t.issue_id offset 0) i
          union all select issue_id, project_id, -sign from issue_changes) x
        group by issue_id, project_id having sum(sign) <> 0),
      signed as (
        -- at the key now: all usage of moved tasks, and what changed of the others
        select 1 as sign, d.*, t.runtime_id, t.agent_id, a.workspace_id, i.project_id
        from (
          select * from usage_now
          union all select c.* from usage_changes c where not exists (select from moved m where m.task_id = c.task_id)) d
        join task_now t on t.task_id = d.task_id
        join agent_then a on a.agent_id = t.agent_id
        left join issue_then i on i.issue_id = t.issue_id
        union all
        -- at the key then, taken away: the usage of moved tasks as it was, which is now minus what changed
        select d.*, t.runtime_id, t.agent_id, a.workspace_id, i.project_id
        from (
          select -1 as sign, u.* from usage_now u
          union all select 1, c.* from usage_changes c where exists (select from moved m where m.task_id = c.task_id)) d
        join task_then t on t.task_id = d.task_id
        join agent_then a on a.agent_id = t.agent_id
        left join issue_then i on i.issue_id = t.issue_id)
    select x.bucket_start, x.workspace_id, x.runtime_id, x.agent_id, x.project_id, x.provider, x.model, sum(x.sign * x.input_tokens) as input_tokens, sum(x.sign * x.output_tokens) as output_tokens, sum(x.sign * x.cache_read_tokens) as cache_read_tokens, sum(x.sign * x.cache_write_tokens) as cache_write_tokens, sum(x.sign * x.cache_write_1h_tokens) as cache_write_1h_tokens, coalesce(sum(x.sign * x.cost_usd_ticks), 0) as cost_usd_ticks, coalesce(sum(x.sign * x.input_tokens) filter (where x.cost_usd_ticks is null), 0) as uncosted_input_tokens, coalesce(sum(x.sign * x.output_tokens) filter (where x.cost_usd_ticks is null), 0) as uncosted_output_tokens, coalesce(sum(x.sign * x.cache_read_tokens) filter (where x.cost_usd_ticks is null), 0) as uncosted_cache_read_tokens, coalesce(sum(x.sign * x.cache_write_tokens) filter (where x.cost_usd_ticks is null), 0) as uncosted_cache_write_tokens, coalesce(sum(x.sign * x.cache_write_1h_tokens) filter (where x.cost_usd_ticks is null), 0) as uncosted_cache_write_1h_tokens, sum(x.sign * x.event_count)::bigint as event_count
    from signed x
    group by x.bucket_start, x.workspace_id, x.runtime_id, x.agent_id, x.project_id, x.provider, x.model
  ;
    end $$;

COMMENT ON FUNCTION tallybook.pending_of_tasks(low xid8, opened xid8[], chosen uuid[]) IS 'What is pending of some tasks alone, with agents and issues as the rollups show them.';

CREATE FUNCTION tallybook.provider_key(name text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN tallybook.name_key((lower((name COLLATE "C")) COLLATE "C"));

COMMENT ON FUNCTION tallybook.provider_key(name text) IS 'A provider''s name as it enters keys: name_key of its lower case. Call both with collate "C".';

CREATE FUNCTION tallybook.rebuild(since timestamp with time zone, until timestamp with time zone) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET "DateStyle" TO 'ISO'
    AS $_$
declare
  first_day constant timestamptz := date_trunc('day', since, 'UTC');
  end_day constant timestamptz := case when until = date_trunc('day', until, 'UTC') then until else date_trunc('day', until, 'UTC') + interval '1 day' end;
  reported_at constant text := case when exists (
    select from pg_attribute where attrelid = 'public.task_usage'::regclass and attname = 'updated_at' and not attisdropped)
    then 'coalesce(updated_at, created_at)' else 'created_at' end;
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
    'select distinct date_trunc(''day'', tallybook.bucket(created_at), ''UTC'') from public.task_usage where %1$s >= %2$L and %1$s < %3$L', reported_at, since, until)
  loop
    if day < first_day or day >= end_day then
      written := written + tallybook.rebuild_days(day, day + interval '1 day', names);
    end if;
  end loop;
  return written;
end $_$;

COMMENT ON FUNCTION tallybook.rebuild(since timestamp with time zone, until timestamp with time zone) IS 'Rebuilds, in every rollup, each day inside the window and each day on which a row reported in the window falls. Returns the rollup rows written.';

CREATE FUNCTION tallybook.rebuild_days(since timestamp with time zone, until timestamp with time zone, names text[]) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET "DateStyle" TO 'ISO'
    SET jit TO 'off'
    SET work_mem TO '64MB'
    AS $_$
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
end $_$;

COMMENT ON FUNCTION tallybook.rebuild_days(since timestamp with time zone, until timestamp with time zone, names text[]) IS 'Replaces days of rollups by the raw sums less what is pending. Returns the rollup rows written.';

CREATE FUNCTION tallybook.rebuild_rollup(rollup_name text, since timestamp with time zone, until timestamp with time zone) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  r tallybook.rollup;
begin
  if since is null or until is null or since <> date_trunc('day', since, 'UTC') or until <> date_trunc('day', until, 'UTC') then
    raise exception 'a rollup is rebuilt in whole UTC days' using errcode = 'invalid_parameter_value';
  end if;
  perform tallybook.require_alone();
  perform tallybook.wait_for_fold_lock();
  perform tallybook.lock_sources();
  select * into r from tallybook.rollup where name = rollup_name;
  if not found then
    raise exception 'there is no rollup %', quote_nullable(rollup_name) using errcode = 'undefined_table';
  end if;
  if until = 'infinity' then
    execute format('delete from tallybook.%I where %I = ''infinity''', r.name, tallybook.bucket_column(r.bucket_width));
  end if;
  return tallybook.rebuild_days(since, until, array[r.name]);
end $$;

COMMENT ON FUNCTION tallybook.rebuild_rollup(rollup_name text, since timestamp with time zone, until timestamp with time zone) IS 'Replaces whole UTC days, [since, until), of one rollup by the raw sums less what is pending. Returns the rollup rows written.';

CREATE TABLE tallybook.fold_state (
    singleton boolean DEFAULT true NOT NULL,
    last_run_started_at timestamp with time zone,
    last_run_finished_at timestamp with time zone,
    last_run_rows bigint,
    last_error text,
    last_error_at timestamp with time zone,
    CONSTRAINT fold_state_singleton_check CHECK (singleton)
);

ALTER TABLE ONLY tallybook.fold_state REPLICA IDENTITY FULL;

COMMENT ON TABLE tallybook.fold_state IS 'What the last tick did: one row.';

CREATE FUNCTION tallybook.record_fold_error(message text) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    BEGIN ATOMIC
 UPDATE tallybook.fold_state SET last_error = record_fold_error.message, last_error_at = clock_timestamp();
END;

COMMENT ON FUNCTION tallybook.record_fold_error(message text) IS 'For whoever called a tick that failed: what the tick itself writes is rolled back.';

CREATE FUNCTION tallybook.refuse_rewritten() RETURNS void
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  -- opening a table waits for whoever rewrites it
  perform from public.task_usage where false;
  perform from public.agent_task_queue where false;
  perform from public.agent where false;
  perform from public.issue where false;
  if exists (select from pg_class where oid in ('public.task_usage'::regclass, 'public.agent_task_queue'::regclass, 'public.agent'::regclass, 'public.issue'::regclass)
      and relfilenode <> pg_relation_filenode(oid)) then
    raise exception 'a source table was rewritten after this snapshot was taken' using errcode = 'serialization_failure', hint = 'Retry the transaction.';
  end if;
end $$;

COMMENT ON FUNCTION tallybook.refuse_rewritten() IS 'Fails with 40001 when the snapshot is older than the present file of a source table.';

CREATE FUNCTION tallybook.refuse_truncate() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  raise exception 'TRUNCATE of %.% is refused: it is not transactional, so rollups could not follow it exactly', tg_table_schema, tg_table_name
    using errcode = 'feature_not_supported', hint = 'Use DELETE.';
end $$;

COMMENT ON FUNCTION tallybook.refuse_truncate() IS 'Refuses TRUNCATE, which takes rows away from older snapshots too.';

CREATE FUNCTION tallybook.require_alone() RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION tallybook.require_alone() IS 'Fails unless this is a READ COMMITTED transaction that has written nothing: others may see rows whose capture is still to come, or too old a snapshot.';

CREATE FUNCTION tallybook.rollup_task_usage_daily() RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    BEGIN ATOMIC
 SELECT tallybook.fold(25, (50000)::bigint) AS fold;
END;

COMMENT ON FUNCTION tallybook.rollup_task_usage_daily() IS 'One tick, for any scheduler: folds what is pending into every rollup, bounded; the next tick goes on. Returns the rollup rows touched.';

CREATE FUNCTION tallybook.rollup_task_usage_daily_window(p_from timestamp with time zone, p_to timestamp with time zone) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    BEGIN ATOMIC
 SELECT tallybook.rebuild(p_from, p_to) AS rebuild;
END;

COMMENT ON FUNCTION tallybook.rollup_task_usage_daily_window(p_from timestamp with time zone, p_to timestamp with time zone) IS 'tallybook.rebuild, under the name that it has elsewhere.';

CREATE FUNCTION tallybook.settle_views() RETURNS SETOF text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET lock_timeout TO '1s'
    AS $$
declare
  r record;
begin
  for r in select name from tallybook.rollup where reads_raw and covered_from = '-infinity' for update loop
    update tallybook.rollup set reads_raw = false where name = r.name;
    perform tallybook.define_now_view(r.name);
    return next r.name;
  end loop;
end $$;

COMMENT ON FUNCTION tallybook.settle_views() IS 'Takes the raw arm off the now-views of rollups that are wholly covered: reads are planned faster without it.';

CREATE FUNCTION tallybook.slice_before(until timestamp with time zone, rows_max bigint) RETURNS timestamp with time zone
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  since timestamptz;
begin
  select date_trunc('day', tallybook.bucket(created_at), 'UTC') into since
  from public.task_usage where created_at < until order by created_at desc offset rows_max limit 1;
  return case when since < until then since else '-infinity' end;
end $$;

COMMENT ON FUNCTION tallybook.slice_before(until timestamp with time zone, rows_max bigint) IS 'Where the whole UTC days begin that lie before a day and hold so many rows of raw usage; -infinity when there are no more.';

CREATE TABLE tallybook.rollup (
    name text NOT NULL,
    bucket_width interval NOT NULL,
    dimensions text[] NOT NULL,
    covered_from timestamp with time zone NOT NULL,
    reads_raw boolean NOT NULL,
    CONSTRAINT rollup_bucket_width_check CHECK ((bucket_width = ANY (ARRAY['00:15:00'::interval, '00:30:00'::interval, '01:00:00'::interval, '1 day'::interval]))),
    CONSTRAINT rollup_covered_from_check CHECK ((covered_from = date_trunc('day'::text, covered_from, 'UTC'::text))),
    CONSTRAINT rollup_dimensions_check CHECK (((cardinality(dimensions) >= 2) AND (dimensions <@ ARRAY['workspace_id'::text, 'runtime_id'::text, 'agent_id'::text, 'project_id'::text, 'provider'::text, 'model'::text]))),
    CONSTRAINT rollup_name_check CHECK ((name ~ '^[a-z][a-z0-9_]{0,39}$'::text))
);

ALTER TABLE ONLY tallybook.rollup REPLICA IDENTITY FULL;

COMMENT ON TABLE tallybook.rollup IS 'The declarations, and how far back each rollup is complete.';

COMMENT ON COLUMN tallybook.rollup.bucket_width IS 'A day is a UTC day (bucket_date); other buckets are instants (bucket_start).';

COMMENT ON COLUMN tallybook.rollup.covered_from IS 'From this UTC day on the rollup is complete; older days are read from raw. -infinity: all is covered.';

COMMENT ON COLUMN tallybook.rollup.reads_raw IS 'Whether the now-view still has its raw arm.';

CREATE FUNCTION tallybook.sum_statement(contributions text, others text, names text[], since text[], until timestamp with time zone) RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET "DateStyle" TO 'ISO'
    RETURN (SELECT COALESCE(((((('with contributions as ('::text || sum_statement.contributions) || '), '::text) || sum_statement.others) || string_agg(format('
      %1$s as (
        insert into tallybook.%1$s as r (%2$s, %3$s, %4$s)
        select %5$s, %3$s, %6$s from contributions c
        where c.bucket_start >= %7$s and c.bucket_start < %8$s
        group by 1, %3$s
        having %9$s
        on conflict (%10$s) do update set %11$s
        returning r.ctid, (%12$s) as is_empty)'::text, rollup.name, tallybook.bucket_column(rollup.bucket_width), array_to_string(rollup.dimensions, ', '::text), array_to_string(tallybook.measures(), ', '::text), tallybook.bucket_expression(rollup.bucket_width, 'c.bucket_start'::text), tallybook.each('sum(c.{})'::text, tallybook.measures()), wanted.lower_bound, quote_literal(sum_statement.until), tallybook.each('sum(c.{}) <> 0'::text, tallybook.measures(), ' or '::text), array_to_string((ARRAY[rollup.dimensions[1], tallybook.bucket_column(rollup.bucket_width)] || rollup.dimensions[2:]), ', '::text), tallybook.each('{} = r.{} + excluded.{}'::text, tallybook.measures()), tallybook.each('r.{} = 0'::text, tallybook.measures(), ' and '::text)), ', '::text)) || string_agg(format('select %1$L as rollup, count(*) as touched, coalesce(array_agg(ctid) filter (where is_empty), ''{}'') as emptied from %1$s'::text, rollup.name), ' union all '::text)), (('with '::text || rtrim(sum_statement.others, ', '::text)) || ' select null::text as rollup, 0::bigint as touched, null::tid[] as emptied where false'::text)) AS "coalesce" FROM (UNNEST(sum_statement.names, sum_statement.since) wanted(name, lower_bound) JOIN tallybook.rollup USING (name)));

COMMENT ON FUNCTION tallybook.sum_statement(contributions text, others text, names text[], since text[], until timestamp with time zone) IS 'SQL: adds contributions to rollups, in one statement.';

CREATE FUNCTION tallybook.task_usage_rollup_lag_seconds() RETURNS double precision
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    BEGIN ATOMIC
 SELECT
         CASE
             WHEN (fold_state.last_run_finished_at IS NOT NULL) THEN (GREATEST((0)::numeric, COALESCE(EXTRACT(epoch FROM (clock_timestamp() - ( SELECT backlog.oldest
                FROM tallybook.backlog() backlog(usage_rows, task_rows, agent_rows, issue_rows, oldest)))), (0)::numeric)))::double precision
             ELSE NULL::double precision
         END AS "case"
    FROM tallybook.fold_state;
END;

COMMENT ON FUNCTION tallybook.task_usage_rollup_lag_seconds() IS 'Age, in seconds, of the oldest change row that is not folded; 0 when there is none, null before the first tick. Reads are exact all the same.';

CREATE TABLE public.task_usage (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    task_id uuid NOT NULL,
    provider text NOT NULL,
    model text NOT NULL,
    event_key text DEFAULT ''::text NOT NULL,
    sequence bigint,
    input_tokens bigint DEFAULT 0 NOT NULL,
    output_tokens bigint DEFAULT 0 NOT NULL,
    cache_read_tokens bigint DEFAULT 0 NOT NULL,
    cache_write_tokens bigint DEFAULT 0 NOT NULL,
    cache_write_1h_tokens bigint DEFAULT 0 NOT NULL,
    cost_usd_ticks bigint,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT task_usage_cache_read_tokens_check CHECK ((cache_read_tokens >= 0)),
    CONSTRAINT task_usage_cache_write_1h_tokens_check CHECK ((cache_write_1h_tokens >= 0)),
    CONSTRAINT task_usage_cache_write_tokens_check CHECK ((cache_write_tokens >= 0)),
    CONSTRAINT task_usage_cost_usd_ticks_check CHECK ((cost_usd_ticks >= 0)),
    CONSTRAINT task_usage_input_tokens_check CHECK ((input_tokens >= 0)),
    CONSTRAINT task_usage_output_tokens_check CHECK ((output_tokens >= 0))
);

COMMENT ON TABLE public.task_usage IS 'Raw usage, the truth that every rollup equals.';

COMMENT ON COLUMN public.task_usage.event_key IS 'The caller''s own id of a single event; empty for a task''s running total.';

COMMENT ON COLUMN public.task_usage.sequence IS 'Order of a running total''s reports; one with a lower number than stored is stale.';

COMMENT ON COLUMN public.task_usage.cost_usd_ticks IS 'The provider''s own price in 1e-10 USD; null when it names none.';

COMMENT ON COLUMN public.task_usage.created_at IS 'When the usage happened.';

COMMENT ON COLUMN public.task_usage.updated_at IS 'When the row was last reported; nothing in Tallybook relies on it.';

CREATE FUNCTION tallybook.usage_columns(OUT name text, OUT is_present boolean, OUT is_integer boolean) RETURNS SETOF record
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    BEGIN ATOMIC
 SELECT wanted.name,
     (a.attname IS NOT NULL),
     COALESCE((a.atttypid = ANY (ARRAY[('smallint'::regtype)::oid, ('integer'::regtype)::oid, ('bigint'::regtype)::oid])), false) AS "coalesce"
    FROM (unnest((tallybook.token_measures() || ARRAY['cost_usd_ticks'::text])) WITH ORDINALITY wanted(name, "position")
      LEFT JOIN pg_attribute a ON (((a.attrelid = ('public.task_usage'::regclass)::oid) AND (a.attname = wanted.name) AND (NOT a.attisdropped))))
   ORDER BY wanted."position";
END;

COMMENT ON FUNCTION tallybook.usage_columns(OUT name text, OUT is_present boolean, OUT is_integer boolean) IS 'The measures that a row of public.task_usage may hold, in order.';

CREATE FUNCTION tallybook.usage_key_image(row_name text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN format('%1$s.task_id as task_id, %1$s.provider::text as provider, %1$s.model::text as model, %1$s.created_at as happened_at'::text, row_name);

COMMENT ON FUNCTION tallybook.usage_key_image(row_name text) IS 'SQL: the task and the key parts of a row of public.task_usage, as they are written.';

CREATE FUNCTION tallybook.usage_measure_images(row_name text) RETURNS text[]
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    RETURN (SELECT array_agg(CASE WHEN (NOT usage_columns.is_present) THEN CASE usage_columns.name WHEN 'cost_usd_ticks'::text THEN 'null::numeric'::text ELSE '0::numeric'::text END WHEN ((usage_columns.name = 'cost_usd_ticks'::text) AND usage_columns.is_integer) THEN format('%s.%s::numeric'::text, usage_measure_images.row_name, usage_columns.name) WHEN (usage_columns.name = 'cost_usd_ticks'::text) THEN format('case when %1$s.%2$s is not null then tallybook.finite(%1$s.%2$s::numeric) end'::text, usage_measure_images.row_name, usage_columns.name) WHEN usage_columns.is_integer THEN format('coalesce(%s.%s, 0)::numeric'::text, usage_measure_images.row_name, usage_columns.name) ELSE format('tallybook.finite(%s.%s::numeric)'::text, usage_measure_images.row_name, usage_columns.name) END) AS array_agg FROM tallybook.usage_columns() usage_columns(name, is_present, is_integer));

COMMENT ON FUNCTION tallybook.usage_measure_images(row_name text) IS 'SQL: each measure of a row of public.task_usage. A null cost stays null: no provider named one.';

CREATE FUNCTION tallybook.usage_image(row_name text) RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    RETURN (SELECT ((tallybook.usage_key_image(usage_image.row_name) || ', '::text) || string_agg(((measure.image || ' as '::text) || measure.name), ', '::text)) FROM ROWS FROM(unnest(tallybook.usage_measure_images(usage_image.row_name)), tallybook.usage_columns()) measure(image, name, is_present, is_integer));

COMMENT ON FUNCTION tallybook.usage_image(row_name text) IS 'SQL: task, key parts and measures of a row of public.task_usage.';

CREATE FUNCTION tallybook.verify(rollup_name text, since timestamp with time zone, until timestamp with time zone, examples_max bigint, OUT keys bigint, OUT drifted_keys bigint, OUT drifted_days date[], OUT examples jsonb) RETURNS record
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
begin
  select coalesce(sum(c.keys), 0), coalesce(sum(c.drifted_keys), 0), coalesce(array_agg(c.day order by c.day) filter (where c.drifted_keys > 0), '{}'),
    jsonb_path_query_array(coalesce(jsonb_agg(c.examples order by c.day), '[]'), '$[*][*]')
  into keys, drifted_keys, drifted_days, examples
  from tallybook.compare(rollup_name, since, until, examples_max) c;
end $_$;

COMMENT ON FUNCTION tallybook.verify(rollup_name text, since timestamp with time zone, until timestamp with time zone, examples_max bigint, OUT keys bigint, OUT drifted_keys bigint, OUT drifted_days date[], OUT examples jsonb) IS 'Compares a now-view with the sums of raw usage, both ways, in the caller''s snapshot: keys compared, keys that differ, their days, and some of them.';

CREATE FUNCTION tallybook.wait_for_fold_lock() RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET lock_timeout TO '30s'
    AS $$
begin
  perform pg_advisory_xact_lock(tallybook.fold_lock_key());
exception when lock_not_available then
  raise exception 'rollups are being written by %', tallybook.fold_lock_holder() using errcode = 'lock_not_available', hint = 'Try again later.';
end $$;

COMMENT ON FUNCTION tallybook.wait_for_fold_lock() IS 'Takes the fold lock, waiting for at most 30 seconds.';

CREATE TABLE public.agent (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    workspace_id uuid NOT NULL,
    name text NOT NULL,
    runtime_id uuid,
    labels jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    deleted_at timestamp with time zone,
    CONSTRAINT agent_labels_check CHECK ((jsonb_typeof(labels) = 'object'::text))
);

COMMENT ON TABLE public.agent IS 'Who works. The workspace of usage is the agent''s, everywhere.';

CREATE TABLE public.agent_runtime (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    workspace_id uuid NOT NULL,
    name text NOT NULL,
    provider text DEFAULT ''::text NOT NULL,
    labels jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    deleted_at timestamp with time zone,
    CONSTRAINT agent_runtime_labels_check CHECK ((jsonb_typeof(labels) = 'object'::text))
);

COMMENT ON TABLE public.agent_runtime IS 'Where agents run: a machine, a container, a hosted service.';

CREATE TABLE public.agent_task_queue (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    agent_id uuid NOT NULL,
    issue_id uuid,
    runtime_id uuid,
    status text DEFAULT 'queued'::text NOT NULL,
    failure_reason text,
    labels jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    started_at timestamp with time zone,
    completed_at timestamp with time zone,
    deleted_at timestamp with time zone,
    CONSTRAINT agent_task_queue_labels_check CHECK ((jsonb_typeof(labels) = 'object'::text))
);

COMMENT ON TABLE public.agent_task_queue IS 'One run of an agent. A null runtime is kept as unattributed, never dropped.';

CREATE TABLE public.issue (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    workspace_id uuid NOT NULL,
    title text NOT NULL,
    project_id uuid,
    labels jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    deleted_at timestamp with time zone,
    CONSTRAINT issue_labels_check CHECK ((jsonb_typeof(labels) = 'object'::text))
);

COMMENT ON TABLE public.issue IS 'What is worked on; its workspace may differ from that of the agents who work on it.';

CREATE TABLE public.project (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    workspace_id uuid NOT NULL,
    title text NOT NULL,
    labels jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    deleted_at timestamp with time zone,
    CONSTRAINT project_labels_check CHECK ((jsonb_typeof(labels) = 'object'::text))
);

COMMENT ON TABLE public.project IS 'A group of issues.';

CREATE TABLE public.workspace (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    name text NOT NULL,
    slug text NOT NULL,
    labels jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    deleted_at timestamp with time zone,
    CONSTRAINT workspace_labels_check CHECK ((jsonb_typeof(labels) = 'object'::text))
);

COMMENT ON TABLE public.workspace IS 'A tenant: the unit that tokens are bound to and that usage is billed to.';

CREATE TABLE tallybook.access_token (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    name text NOT NULL,
    digest bytea NOT NULL,
    workspace_id uuid,
    scopes text[] NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone,
    revoked_at timestamp with time zone,
    CONSTRAINT access_token_scopes_check CHECK (((cardinality(scopes) > 0) AND (scopes <@ ARRAY['ingest'::text, 'read'::text, 'admin'::text])))
);

COMMENT ON TABLE tallybook.access_token IS 'Who may call the HTTP API, and for what.';

COMMENT ON COLUMN tallybook.access_token.digest IS 'SHA-256 of the token; the token itself is shown once, at its creation, and kept nowhere.';

COMMENT ON COLUMN tallybook.access_token.workspace_id IS 'The only workspace that the token opens; null opens all.';

CREATE TABLE tallybook.agent_change (
    agent_id uuid NOT NULL,
    workspace_id uuid,
    sign smallint NOT NULL,
    xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    captured_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='10000', autovacuum_vacuum_insert_threshold='-1', autovacuum_analyze_scale_factor='0', autovacuum_analyze_threshold='50000');

ALTER TABLE ONLY tallybook.agent_change REPLICA IDENTITY FULL;

COMMENT ON TABLE tallybook.agent_change IS 'Signed images of agent rows that are not folded yet.';

COMMENT ON COLUMN tallybook.agent_change.xid IS 'The transaction that wrote the row.';

COMMENT ON COLUMN tallybook.agent_change.captured_at IS 'When it was written, by the database''s clock.';

CREATE TABLE tallybook.drift (
    rollup text NOT NULL,
    day date NOT NULL,
    drifted_keys bigint NOT NULL,
    found_at timestamp with time zone DEFAULT now() NOT NULL,
    checked_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT drift_drifted_keys_check CHECK ((drifted_keys > 0))
);

ALTER TABLE ONLY tallybook.drift REPLICA IDENTITY FULL;

COMMENT ON TABLE tallybook.drift IS 'Days on which a now-view was found to differ from raw usage, until a check finds them exact. Empty when all is well.';

COMMENT ON COLUMN tallybook.drift.drifted_keys IS 'How many keys of the day differed at the last check.';

COMMENT ON COLUMN tallybook.drift.found_at IS 'When it was found first.';

COMMENT ON COLUMN tallybook.drift.checked_at IS 'When it was found last.';

CREATE TABLE tallybook.fold_mark (
    id bigint NOT NULL,
    floor xid8 NOT NULL,
    open xid8[] NOT NULL,
    writer xid NOT NULL
);

ALTER TABLE ONLY tallybook.fold_mark REPLICA IDENTITY FULL;

COMMENT ON TABLE tallybook.fold_mark IS 'A hint that saves walking over dead change rows: every change row that a complete fold''s snapshot could see is folded. It never decides.';

COMMENT ON COLUMN tallybook.fold_mark.floor IS 'Change rows of earlier transactions are folded ...';

COMMENT ON COLUMN tallybook.fold_mark.open IS '... but for those that were open then, and the fold''s own.';

COMMENT ON COLUMN tallybook.fold_mark.writer IS 'The transaction that wrote the row. A mark is valid only while this is the row''s xmin: after dump and restore transaction ids start over.';

CREATE TABLE tallybook.issue_change (
    issue_id uuid NOT NULL,
    project_id uuid,
    sign smallint NOT NULL,
    xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    captured_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='10000', autovacuum_vacuum_insert_threshold='-1', autovacuum_analyze_scale_factor='0', autovacuum_analyze_threshold='50000');

ALTER TABLE ONLY tallybook.issue_change REPLICA IDENTITY FULL;

COMMENT ON TABLE tallybook.issue_change IS 'Signed images of issue rows that are not folded yet.';

COMMENT ON COLUMN tallybook.issue_change.xid IS 'The transaction that wrote the row.';

COMMENT ON COLUMN tallybook.issue_change.captured_at IS 'When it was written, by the database''s clock.';

CREATE TABLE tallybook.task_change (
    task_id uuid NOT NULL,
    agent_id uuid,
    runtime_id uuid,
    issue_id uuid,
    sign smallint NOT NULL,
    xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    captured_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='10000', autovacuum_vacuum_insert_threshold='-1', autovacuum_analyze_scale_factor='0', autovacuum_analyze_threshold='50000');

ALTER TABLE ONLY tallybook.task_change REPLICA IDENTITY FULL;

COMMENT ON TABLE tallybook.task_change IS 'Signed images of agent_task_queue rows that are not folded yet.';

COMMENT ON COLUMN tallybook.task_change.xid IS 'The transaction that wrote the row.';

COMMENT ON COLUMN tallybook.task_change.captured_at IS 'When it was written, by the database''s clock.';

CREATE TABLE tallybook.task_usage_daily (
    bucket_date date NOT NULL,
    workspace_id uuid NOT NULL,
    runtime_id uuid,
    provider text NOT NULL COLLATE pg_catalog."C",
    model text NOT NULL COLLATE pg_catalog."C",
    input_tokens numeric NOT NULL,
    output_tokens numeric NOT NULL,
    cache_read_tokens numeric NOT NULL,
    cache_write_tokens numeric NOT NULL,
    cache_write_1h_tokens numeric NOT NULL,
    cost_usd_ticks numeric NOT NULL,
    uncosted_input_tokens numeric NOT NULL,
    uncosted_output_tokens numeric NOT NULL,
    uncosted_cache_read_tokens numeric NOT NULL,
    uncosted_cache_write_tokens numeric NOT NULL,
    uncosted_cache_write_1h_tokens numeric NOT NULL,
    event_count bigint NOT NULL
)
WITH (fillfactor='80');

ALTER TABLE ONLY tallybook.task_usage_daily REPLICA IDENTITY FULL;

COMMENT ON TABLE tallybook.task_usage_daily IS 'Sums of raw usage, as far as it is covered and folded. Written by fold, backfill and rebuild alone; read the _now view.';

CREATE VIEW tallybook.task_usage_daily_dirty AS
 SELECT ((p.bucket_start AT TIME ZONE 'UTC'::text))::date AS bucket_date,
    p.workspace_id,
    p.runtime_id,
    p.provider,
    p.model,
    ( SELECT backlog.oldest
           FROM tallybook.backlog() backlog(usage_rows, task_rows, agent_rows, issue_rows, oldest)) AS enqueued_at
   FROM tallybook.pending() p(bucket_start, workspace_id, runtime_id, agent_id, project_id, provider, model, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, cost_usd_ticks, uncosted_input_tokens, uncosted_output_tokens, uncosted_cache_read_tokens, uncosted_cache_write_tokens, uncosted_cache_write_1h_tokens, event_count)
  GROUP BY (((p.bucket_start AT TIME ZONE 'UTC'::text))::date), p.workspace_id, p.runtime_id, p.provider, p.model;

COMMENT ON VIEW tallybook.task_usage_daily_dirty IS 'Daily keys with something pending. enqueued_at is when the oldest of all change rows was captured: a bound.';

CREATE VIEW tallybook.task_usage_daily_now AS
 SELECT s.bucket_date,
    s.workspace_id,
    s.runtime_id,
    s.provider,
    s.model,
    sum(s.input_tokens) AS input_tokens,
    sum(s.output_tokens) AS output_tokens,
    sum(s.cache_read_tokens) AS cache_read_tokens,
    sum(s.cache_write_tokens) AS cache_write_tokens,
    sum(s.cache_write_1h_tokens) AS cache_write_1h_tokens,
    sum(s.cost_usd_ticks) AS cost_usd_ticks,
    sum(s.uncosted_input_tokens) AS uncosted_input_tokens,
    sum(s.uncosted_output_tokens) AS uncosted_output_tokens,
    sum(s.uncosted_cache_read_tokens) AS uncosted_cache_read_tokens,
    sum(s.uncosted_cache_write_tokens) AS uncosted_cache_write_tokens,
    sum(s.uncosted_cache_write_1h_tokens) AS uncosted_cache_write_1h_tokens,
    (sum(s.event_count))::bigint AS event_count
   FROM ( SELECT task_usage_daily.bucket_date,
            task_usage_daily.workspace_id,
            task_usage_daily.runtime_id,
            task_usage_daily.provider,
            task_usage_daily.model,
            task_usage_daily.input_tokens,
            task_usage_daily.output_tokens,
            task_usage_daily.cache_read_tokens,
            task_usage_daily.cache_write_tokens,
            task_usage_daily.cache_write_1h_tokens,
            task_usage_daily.cost_usd_ticks,
            task_usage_daily.uncosted_input_tokens,
            task_usage_daily.uncosted_output_tokens,
            task_usage_daily.uncosted_cache_read_tokens,
            task_usage_daily.uncosted_cache_write_tokens,
            task_usage_daily.uncosted_cache_write_1h_tokens,
            task_usage_daily.event_count
           FROM tallybook.task_usage_daily
        UNION ALL
         SELECT ((pending.bucket_start AT TIME ZONE 'UTC'::text))::date AS timezone,
            pending.workspace_id,
            pending.runtime_id,
            pending.provider,
            pending.model,
            pending.input_tokens,
            pending.output_tokens,
            pending.cache_read_tokens,
            pending.cache_write_tokens,
            pending.cache_write_1h_tokens,
            pending.cost_usd_ticks,
            pending.uncosted_input_tokens,
            pending.uncosted_output_tokens,
            pending.uncosted_cache_read_tokens,
            pending.uncosted_cache_write_tokens,
            pending.uncosted_cache_write_1h_tokens,
            pending.event_count
           FROM tallybook.pending() pending(bucket_start, workspace_id, runtime_id, agent_id, project_id, provider, model, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, cost_usd_ticks, uncosted_input_tokens, uncosted_output_tokens, uncosted_cache_read_tokens, uncosted_cache_write_tokens, uncosted_cache_write_1h_tokens, event_count)
          WHERE tallybook.is_covered('task_usage_daily'::text)) s
  GROUP BY s.bucket_date, s.workspace_id, s.runtime_id, s.provider, s.model
 HAVING ((sum(s.input_tokens) <> (0)::numeric) OR (sum(s.output_tokens) <> (0)::numeric) OR (sum(s.cache_read_tokens) <> (0)::numeric) OR (sum(s.cache_write_tokens) <> (0)::numeric) OR (sum(s.cache_write_1h_tokens) <> (0)::numeric) OR (sum(s.cost_usd_ticks) <> (0)::numeric) OR (sum(s.uncosted_input_tokens) <> (0)::numeric) OR (sum(s.uncosted_output_tokens) <> (0)::numeric) OR (sum(s.uncosted_cache_read_tokens) <> (0)::numeric) OR (sum(s.uncosted_cache_write_tokens) <> (0)::numeric) OR (sum(s.uncosted_cache_write_1h_tokens) <> (0)::numeric) OR (sum(s.event_count) <> (0)::numeric));

COMMENT ON VIEW tallybook.task_usage_daily_now IS 'Always exactly the sums of raw usage. Tokens are counts; cost_usd_ticks is in 1e-10 USD.';

CREATE TABLE tallybook.task_usage_quarter_hour (
    bucket_start timestamp with time zone NOT NULL,
    workspace_id uuid NOT NULL,
    runtime_id uuid,
    agent_id uuid NOT NULL,
    project_id uuid,
    provider text NOT NULL COLLATE pg_catalog."C",
    model text NOT NULL COLLATE pg_catalog."C",
    input_tokens numeric NOT NULL,
    output_tokens numeric NOT NULL,
    cache_read_tokens numeric NOT NULL,
    cache_write_tokens numeric NOT NULL,
    cache_write_1h_tokens numeric NOT NULL,
    cost_usd_ticks numeric NOT NULL,
    uncosted_input_tokens numeric NOT NULL,
    uncosted_output_tokens numeric NOT NULL,
    uncosted_cache_read_tokens numeric NOT NULL,
    uncosted_cache_write_tokens numeric NOT NULL,
    uncosted_cache_write_1h_tokens numeric NOT NULL,
    event_count bigint NOT NULL
)
WITH (fillfactor='80');

ALTER TABLE ONLY tallybook.task_usage_quarter_hour REPLICA IDENTITY FULL;

COMMENT ON TABLE tallybook.task_usage_quarter_hour IS 'Sums of raw usage, as far as it is covered and folded. Written by fold, backfill and rebuild alone; read the _now view.';

CREATE VIEW tallybook.task_usage_quarter_hour_now AS
 SELECT s.bucket_start,
    s.workspace_id,
    s.runtime_id,
    s.agent_id,
    s.project_id,
    s.provider,
    s.model,
    sum(s.input_tokens) AS input_tokens,
    sum(s.output_tokens) AS output_tokens,
    sum(s.cache_read_tokens) AS cache_read_tokens,
    sum(s.cache_write_tokens) AS cache_write_tokens,
    sum(s.cache_write_1h_tokens) AS cache_write_1h_tokens,
    sum(s.cost_usd_ticks) AS cost_usd_ticks,
    sum(s.uncosted_input_tokens) AS uncosted_input_tokens,
    sum(s.uncosted_output_tokens) AS uncosted_output_tokens,
    sum(s.uncosted_cache_read_tokens) AS uncosted_cache_read_tokens,
    sum(s.uncosted_cache_write_tokens) AS uncosted_cache_write_tokens,
    sum(s.uncosted_cache_write_1h_tokens) AS uncosted_cache_write_1h_tokens,
    (sum(s.event_count))::bigint AS event_count
   FROM ( SELECT task_usage_quarter_hour.bucket_start,
            task_usage_quarter_hour.workspace_id,
            task_usage_quarter_hour.runtime_id,
            task_usage_quarter_hour.agent_id,
            task_usage_quarter_hour.project_id,
            task_usage_quarter_hour.provider,
            task_usage_quarter_hour.model,
            task_usage_quarter_hour.input_tokens,
            task_usage_quarter_hour.output_tokens,
            task_usage_quarter_hour.cache_read_tokens,
            task_usage_quarter_hour.cache_write_tokens,
            task_usage_quarter_hour.cache_write_1h_tokens,
            task_usage_quarter_hour.cost_usd_ticks,
            task_usage_quarter_hour.uncosted_input_tokens,
            task_usage_quarter_hour.uncosted_output_tokens,
            task_usage_quarter_hour.uncosted_cache_read_tokens,
            task_usage_quarter_hour.uncosted_cache_write_tokens,
            task_usage_quarter_hour.uncosted_cache_write_1h_tokens,
            task_usage_quarter_hour.event_count
           FROM tallybook.task_usage_quarter_hour
        UNION ALL
         SELECT pending.bucket_start,
            pending.workspace_id,
            pending.runtime_id,
            pending.agent_id,
            pending.project_id,
            pending.provider,
            pending.model,
            pending.input_tokens,
            pending.output_tokens,
            pending.cache_read_tokens,
            pending.cache_write_tokens,
            pending.cache_write_1h_tokens,
            pending.cost_usd_ticks,
            pending.uncosted_input_tokens,
            pending.uncosted_output_tokens,
            pending.uncosted_cache_read_tokens,
            pending.uncosted_cache_write_tokens,
            pending.uncosted_cache_write_1h_tokens,
            pending.event_count
           FROM tallybook.pending() pending(bucket_start, workspace_id, runtime_id, agent_id, project_id, provider, model, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, cost_usd_ticks, uncosted_input_tokens, uncosted_output_tokens, uncosted_cache_read_tokens, uncosted_cache_write_tokens, uncosted_cache_write_1h_tokens, event_count)
          WHERE tallybook.is_covered('task_usage_quarter_hour'::text)) s
  GROUP BY s.bucket_start, s.workspace_id, s.runtime_id, s.agent_id, s.project_id, s.provider, s.model
 HAVING ((sum(s.input_tokens) <> (0)::numeric) OR (sum(s.output_tokens) <> (0)::numeric) OR (sum(s.cache_read_tokens) <> (0)::numeric) OR (sum(s.cache_write_tokens) <> (0)::numeric) OR (sum(s.cache_write_1h_tokens) <> (0)::numeric) OR (sum(s.cost_usd_ticks) <> (0)::numeric) OR (sum(s.uncosted_input_tokens) <> (0)::numeric) OR (sum(s.uncosted_output_tokens) <> (0)::numeric) OR (sum(s.uncosted_cache_read_tokens) <> (0)::numeric) OR (sum(s.uncosted_cache_write_tokens) <> (0)::numeric) OR (sum(s.uncosted_cache_write_1h_tokens) <> (0)::numeric) OR (sum(s.event_count) <> (0)::numeric));

COMMENT ON VIEW tallybook.task_usage_quarter_hour_now IS 'Always exactly the sums of raw usage. Tokens are counts; cost_usd_ticks is in 1e-10 USD.';

CREATE VIEW tallybook.task_usage_rollup_state AS
 SELECT COALESCE(( SELECT backlog.oldest
           FROM tallybook.backlog() backlog(usage_rows, task_rows, agent_rows, issue_rows, oldest)), now()) AS watermark_at,
    fold_state.last_run_started_at,
    fold_state.last_run_finished_at,
    fold_state.last_run_rows,
    fold_state.last_error
   FROM tallybook.fold_state;

COMMENT ON VIEW tallybook.task_usage_rollup_state IS 'One row: all that was committed before watermark_at is folded, and how the last tick went.';

CREATE TABLE tallybook.usage_change (
    task_id uuid,
    provider text COLLATE pg_catalog."C",
    model text COLLATE pg_catalog."C",
    happened_at timestamp with time zone,
    input_tokens numeric NOT NULL,
    output_tokens numeric NOT NULL,
    cache_read_tokens numeric NOT NULL,
    cache_write_tokens numeric NOT NULL,
    cache_write_1h_tokens numeric NOT NULL,
    cost_usd_ticks numeric,
    event_count bigint NOT NULL,
    xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    captured_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='10000', autovacuum_vacuum_insert_threshold='-1', autovacuum_analyze_scale_factor='0', autovacuum_analyze_threshold='50000');

ALTER TABLE ONLY tallybook.usage_change REPLICA IDENTITY FULL;

COMMENT ON TABLE tallybook.usage_change IS 'Signed images of task_usage rows that are not folded yet, with key parts as they were written. A null cost means rows for which no provider named one.';

COMMENT ON COLUMN tallybook.usage_change.xid IS 'The transaction that wrote the row.';

COMMENT ON COLUMN tallybook.usage_change.captured_at IS 'When it was written, by the database''s clock.';

CREATE TABLE tallybook.verify_state (
    singleton boolean DEFAULT true NOT NULL,
    due_at timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL,
    next_is_newest boolean DEFAULT true NOT NULL,
    unchecked_until date DEFAULT 'infinity'::date NOT NULL,
    round_started_at timestamp with time zone,
    checked_since timestamp with time zone,
    checked_at timestamp with time zone,
    CONSTRAINT verify_state_singleton_check CHECK (singleton)
);

ALTER TABLE ONLY tallybook.verify_state REPLICA IDENTITY FULL;

COMMENT ON TABLE tallybook.verify_state IS 'How far the verification is that services do all the time: one row. The newest days and a slice of history take turns.';

COMMENT ON COLUMN tallybook.verify_state.due_at IS 'Nobody checks before this time; whoever checks moves it on first.';

COMMENT ON COLUMN tallybook.verify_state.next_is_newest IS 'Whether the newest days come next, or history.';

COMMENT ON COLUMN tallybook.verify_state.unchecked_until IS 'What this round still has to check: all before this UTC day; infinity when no round is under way.';

COMMENT ON COLUMN tallybook.verify_state.round_started_at IS 'When this round began.';

COMMENT ON COLUMN tallybook.verify_state.checked_since IS 'Every day has been checked since then: the beginning of the last round that came to its end.';

COMMENT ON COLUMN tallybook.verify_state.checked_at IS 'When a slice was checked last.';

ALTER TABLE ONLY public.agent
    ADD CONSTRAINT agent_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.agent_runtime
    ADD CONSTRAINT agent_runtime_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.agent_task_queue
    ADD CONSTRAINT agent_task_queue_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.issue
    ADD CONSTRAINT issue_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.project
    ADD CONSTRAINT project_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.task_usage
    ADD CONSTRAINT task_usage_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.task_usage
    ADD CONSTRAINT task_usage_task_id_provider_model_event_key_key UNIQUE (task_id, provider, model, event_key);

ALTER TABLE ONLY public.workspace
    ADD CONSTRAINT workspace_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.workspace
    ADD CONSTRAINT workspace_slug_key UNIQUE (slug);

ALTER TABLE ONLY tallybook.access_token
    ADD CONSTRAINT access_token_digest_key UNIQUE (digest);

ALTER TABLE ONLY tallybook.access_token
    ADD CONSTRAINT access_token_pkey PRIMARY KEY (id);

ALTER TABLE ONLY tallybook.drift
    ADD CONSTRAINT drift_pkey PRIMARY KEY (rollup, day);

ALTER TABLE ONLY tallybook.fold_mark
    ADD CONSTRAINT fold_mark_pkey PRIMARY KEY (id);

ALTER TABLE ONLY tallybook.fold_state
    ADD CONSTRAINT fold_state_pkey PRIMARY KEY (singleton);

ALTER TABLE ONLY tallybook.rollup
    ADD CONSTRAINT rollup_pkey PRIMARY KEY (name);

ALTER TABLE ONLY tallybook.verify_state
    ADD CONSTRAINT verify_state_pkey PRIMARY KEY (singleton);

CREATE INDEX agent_by_runtime ON public.agent USING btree (runtime_id);

CREATE INDEX agent_runtime_workspace ON public.agent_runtime USING btree (workspace_id, name);

CREATE INDEX agent_task_queue_by_agent ON public.agent_task_queue USING btree (agent_id);

CREATE INDEX agent_task_queue_by_issue ON public.agent_task_queue USING btree (issue_id);

CREATE INDEX agent_task_queue_by_runtime ON public.agent_task_queue USING btree (runtime_id);

CREATE INDEX agent_workspace ON public.agent USING btree (workspace_id, name);

CREATE INDEX issue_by_project ON public.issue USING btree (project_id);

CREATE INDEX issue_workspace ON public.issue USING btree (workspace_id, title);

CREATE INDEX project_workspace ON public.project USING btree (workspace_id, title);

CREATE INDEX task_usage_created_at ON public.task_usage USING btree (created_at);

CREATE INDEX agent_change_xid ON tallybook.agent_change USING btree (xid);

CREATE INDEX issue_change_xid ON tallybook.issue_change USING btree (xid);

CREATE INDEX task_change_xid ON tallybook.task_change USING btree (xid);

CREATE INDEX task_usage_daily_bucket ON tallybook.task_usage_daily USING brin (bucket_date) WITH (pages_per_range='32');

CREATE UNIQUE INDEX task_usage_daily_key ON tallybook.task_usage_daily USING btree (workspace_id, bucket_date, runtime_id, provider, model) NULLS NOT DISTINCT;

CREATE INDEX task_usage_daily_second ON tallybook.task_usage_daily USING btree (runtime_id, bucket_date);

CREATE INDEX task_usage_quarter_hour_bucket ON tallybook.task_usage_quarter_hour USING brin (bucket_start) WITH (pages_per_range='32');

CREATE UNIQUE INDEX task_usage_quarter_hour_key ON tallybook.task_usage_quarter_hour USING btree (workspace_id, bucket_start, runtime_id, agent_id, project_id, provider, model) NULLS NOT DISTINCT;

CREATE INDEX task_usage_quarter_hour_second ON tallybook.task_usage_quarter_hour USING btree (runtime_id, bucket_start);

CREATE INDEX usage_change_xid ON tallybook.usage_change USING btree (xid);

CREATE TRIGGER tallybook_delete AFTER DELETE ON public.agent FOR EACH ROW EXECUTE FUNCTION tallybook.capture_agent();

CREATE TRIGGER tallybook_delete AFTER DELETE ON public.agent_task_queue FOR EACH ROW EXECUTE FUNCTION tallybook.capture_task();

CREATE TRIGGER tallybook_delete AFTER DELETE ON public.issue FOR EACH ROW EXECUTE FUNCTION tallybook.capture_issue();

CREATE TRIGGER tallybook_delete AFTER DELETE ON public.task_usage REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION tallybook.capture_usage();

CREATE TRIGGER tallybook_insert AFTER INSERT ON public.agent FOR EACH ROW EXECUTE FUNCTION tallybook.capture_agent();

CREATE TRIGGER tallybook_insert AFTER INSERT ON public.agent_task_queue FOR EACH ROW EXECUTE FUNCTION tallybook.capture_task();

CREATE TRIGGER tallybook_insert AFTER INSERT ON public.issue FOR EACH ROW EXECUTE FUNCTION tallybook.capture_issue();

CREATE TRIGGER tallybook_insert AFTER INSERT ON public.task_usage REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION tallybook.capture_usage();

CREATE TRIGGER tallybook_truncate BEFORE TRUNCATE ON public.agent FOR EACH STATEMENT EXECUTE FUNCTION tallybook.refuse_truncate();

CREATE TRIGGER tallybook_truncate BEFORE TRUNCATE ON public.agent_task_queue FOR EACH STATEMENT EXECUTE FUNCTION tallybook.refuse_truncate();

CREATE TRIGGER tallybook_truncate BEFORE TRUNCATE ON public.issue FOR EACH STATEMENT EXECUTE FUNCTION tallybook.refuse_truncate();

CREATE TRIGGER tallybook_truncate BEFORE TRUNCATE ON public.task_usage FOR EACH STATEMENT EXECUTE FUNCTION tallybook.refuse_truncate();

CREATE TRIGGER tallybook_update AFTER UPDATE ON public.agent FOR EACH ROW WHEN (((old.id IS DISTINCT FROM new.id) OR (old.workspace_id IS DISTINCT FROM new.workspace_id))) EXECUTE FUNCTION tallybook.capture_agent();

CREATE TRIGGER tallybook_update AFTER UPDATE ON public.agent_task_queue FOR EACH ROW WHEN (((old.id IS DISTINCT FROM new.id) OR (old.runtime_id IS DISTINCT FROM new.runtime_id) OR (old.agent_id IS DISTINCT FROM new.agent_id) OR (old.issue_id IS DISTINCT FROM new.issue_id))) EXECUTE FUNCTION tallybook.capture_task();

CREATE TRIGGER tallybook_update AFTER UPDATE ON public.issue FOR EACH ROW WHEN (((old.id IS DISTINCT FROM new.id) OR (old.project_id IS DISTINCT FROM new.project_id))) EXECUTE FUNCTION tallybook.capture_issue();

CREATE TRIGGER tallybook_update AFTER UPDATE ON public.task_usage REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION tallybook.capture_usage();

ALTER TABLE ONLY public.agent
    ADD CONSTRAINT agent_runtime_id_fkey FOREIGN KEY (runtime_id) REFERENCES public.agent_runtime(id) ON DELETE RESTRICT;

ALTER TABLE ONLY public.agent_runtime
    ADD CONSTRAINT agent_runtime_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES public.workspace(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.agent_task_queue
    ADD CONSTRAINT agent_task_queue_agent_id_fkey FOREIGN KEY (agent_id) REFERENCES public.agent(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.agent_task_queue
    ADD CONSTRAINT agent_task_queue_issue_id_fkey FOREIGN KEY (issue_id) REFERENCES public.issue(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.agent_task_queue
    ADD CONSTRAINT agent_task_queue_runtime_id_fkey FOREIGN KEY (runtime_id) REFERENCES public.agent_runtime(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.agent
    ADD CONSTRAINT agent_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES public.workspace(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.issue
    ADD CONSTRAINT issue_project_id_fkey FOREIGN KEY (project_id) REFERENCES public.project(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.issue
    ADD CONSTRAINT issue_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES public.workspace(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.project
    ADD CONSTRAINT project_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES public.workspace(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.task_usage
    ADD CONSTRAINT task_usage_task_id_fkey FOREIGN KEY (task_id) REFERENCES public.agent_task_queue(id) ON DELETE CASCADE;

ALTER TABLE ONLY tallybook.drift
    ADD CONSTRAINT drift_rollup_fkey FOREIGN KEY (rollup) REFERENCES tallybook.rollup(name) ON DELETE CASCADE;

REVOKE ALL ON FUNCTION tallybook.backfill_slice(rows_max bigint, OUT since timestamp with time zone, OUT until timestamp with time zone, OUT rows_written bigint) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.backlog(OUT usage_rows bigint, OUT task_rows bigint, OUT agent_rows bigint, OUT issue_rows bigint, OUT oldest timestamp with time zone) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.bucket(happened_at timestamp with time zone) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.bucket_bound(width interval, instant timestamp with time zone) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.bucket_column(width interval) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.bucket_expression(width interval, quarter_hour text) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.canonical_key(image text) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.capture_agent() FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.capture_faults() FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.capture_issue() FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.capture_task() FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.capture_usage() FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.capture_usage_by(form text) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.compare(rollup_name text, since timestamp with time zone, until timestamp with time zone, examples_max bigint, OUT day date, OUT keys bigint, OUT drifted_keys bigint, OUT examples jsonb) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.contribution() FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.create_rollup(rollup_name text, bucket_width interval, dimensions text[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.days_held(since timestamp with time zone, until timestamp with time zone) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.define_fold() FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.define_now_view(rollup_name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.drop_rollup(rollup_name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.each(template text, items text[], separator text) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.execute_sums(statement text, low xid8, opened xid8[], chosen uuid[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.finite(measure numeric) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.fold(batches_max integer, batch_rows bigint) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.fold_everything(low xid8, opened xid8[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.fold_lock_key() FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.fold_lock_holder() FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.fold_tasks(low xid8, opened xid8[], chosen uuid[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.happened_in(since timestamp with time zone, until timestamp with time zone) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.is_covered(rollup_name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.is_pending() FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.is_seen(rollup_name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.lock_sources() FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.long_name_key(name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.mark(OUT floor xid8, OUT open xid8[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.token_measures() FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.measures() FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.measures_of(image text, sign text) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.name_key(name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.pending() FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.pending_by_join(low xid8, opened xid8[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.pending_by_lookup(low xid8, opened xid8[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.pending_of_tasks(low xid8, opened xid8[], chosen uuid[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.provider_key(name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.rebuild(since timestamp with time zone, until timestamp with time zone) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.rebuild_days(since timestamp with time zone, until timestamp with time zone, names text[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.rebuild_rollup(rollup_name text, since timestamp with time zone, until timestamp with time zone) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.record_fold_error(message text) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.refuse_rewritten() FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.refuse_truncate() FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.require_alone() FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.rollup_task_usage_daily() FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.rollup_task_usage_daily_window(p_from timestamp with time zone, p_to timestamp with time zone) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.settle_views() FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.slice_before(until timestamp with time zone, rows_max bigint) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.sum_statement(contributions text, others text, names text[], since text[], until timestamp with time zone) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.task_usage_rollup_lag_seconds() FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.usage_columns(OUT name text, OUT is_present boolean, OUT is_integer boolean) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.usage_key_image(row_name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.usage_measure_images(row_name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.usage_image(row_name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.verify(rollup_name text, since timestamp with time zone, until timestamp with time zone, examples_max bigint, OUT keys bigint, OUT drifted_keys bigint, OUT drifted_days date[], OUT examples jsonb) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.wait_for_fold_lock() FROM PUBLIC;

