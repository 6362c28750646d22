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

CREATE FUNCTION tallybook.agent_rows() RETURNS TABLE(id uuid, workspace_id uuid)
    LANGUAGE sql STABLE
    AS $$ select r.id, r.workspace_id from public.agent r $$;

COMMENT ON FUNCTION tallybook.agent_rows() IS 'The rows of public.agent, as far as they matter.';

CREATE FUNCTION tallybook.audit_migration() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  if tg_op = 'INSERT' then
    perform tallybook.record_audit('database', null, null, 'migration.apply', null, to_char(new.version, 'FM0000'), jsonb_build_object('description', new.description));
  else
    perform tallybook.record_audit('database', null, null, 'migration.revert', null, to_char(old.version, 'FM0000'), jsonb_build_object('description', old.description));
  end if;
  return null;
end $$;

COMMENT ON FUNCTION tallybook.audit_migration() IS 'Notes that a migration was applied or reverted.';

CREATE FUNCTION tallybook.audit_rollup() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET "IntervalStyle" TO 'postgres'
    AS $$
begin
  if tg_op = 'INSERT' then
    perform tallybook.record_audit('database', null, null, 'rollup.create', null, new.name,
      jsonb_build_object('bucket_width', new.bucket_width::text, 'dimensions', new.dimensions));
  else
    perform tallybook.record_audit('database', null, null, 'rollup.drop', null, old.name, '{}');
  end if;
  return null;
end $$;

COMMENT ON FUNCTION tallybook.audit_rollup() IS 'Notes that a rollup was declared or dropped.';

CREATE FUNCTION tallybook.backfill_plan(rows_max bigint, not_before timestamp with time zone, OUT since timestamp with time zone, OUT until timestamp with time zone, OUT rollups text[], OUT raw_rows bigint, OUT days bigint) RETURNS SETOF record
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  perform tallybook.require_slice(rows_max, not_before);
  until := (select max(covered_from) from tallybook.rollup);
  while until > not_before loop
    since := tallybook.slice_start(until, not_before, rows_max);
    rollups := array(select name from tallybook.rollup where covered_from >= until order by name);
    select counted.raw_rows, counted.days into raw_rows, days from tallybook.raw_rows_between(since, until) counted;
    return next;
    until := since;
  end loop;
end $$;

COMMENT ON FUNCTION tallybook.backfill_plan(rows_max bigint, not_before timestamp with time zone, OUT since timestamp with time zone, OUT until timestamp with time zone, OUT rollups text[], OUT raw_rows bigint, OUT days bigint) IS 'The slices that backfill would cover now, newest first, and the rollups that lack them. Counts every raw row that is not covered.';

CREATE FUNCTION tallybook.backfill_slice(rows_max bigint, OUT since timestamp with time zone, OUT until timestamp with time zone, OUT rows_written bigint) RETURNS SETOF record
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  select since, until, rows_written from tallybook.backfill_slice(rows_max, '-infinity', false)
$$;

COMMENT ON FUNCTION tallybook.backfill_slice(rows_max bigint, OUT since timestamp with time zone, OUT until timestamp with time zone, OUT rows_written bigint) IS 'The same to the beginning of history, at once.';

CREATE FUNCTION tallybook.backfill_slice(rows_max bigint, not_before timestamp with time zone, gently boolean, OUT since timestamp with time zone, OUT until timestamp with time zone, OUT raw_rows bigint, OUT rows_written bigint) RETURNS SETOF record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET lock_timeout TO '5s'
    AS $$
declare
  started timestamptz;
  finished timestamptz;
  state tallybook.backfill_state;
begin
  perform tallybook.require_slice(rows_max, not_before);
  perform tallybook.require_alone();
  if not gently then
    perform tallybook.wait_for_fold_lock();
  elsif not pg_try_advisory_xact_lock(tallybook.fold_lock_key()) then
    return;
  end if;
  perform tallybook.lock_sources();
  select * into strict state from tallybook.backfill_state;
  started := clock_timestamp();
  -- four times the last slice's time lies between two of them, whoever covers; a time to come is another clock's
  if gently and started between state.last_slice_finished_at
      and state.last_slice_finished_at + 4 * (state.last_slice_finished_at - state.last_slice_started_at) then
    return;
  end if;
  select max(covered_from) into until from tallybook.rollup;
  if until is null or until <= not_before then
    return;
  end if;
  since := tallybook.slice_start(until, not_before, rows_max);
  raw_rows := (tallybook.raw_rows_between(since, until)).raw_rows;
  rows_written := tallybook.rebuild_days(since, until, array(select name from tallybook.rollup where covered_from = until));
  finished := clock_timestamp();
  update tallybook.backfill_state b
  set slices = b.slices + 1,
    raw_rows = b.raw_rows + backfill_slice.raw_rows,
    last_slice_started_at = started,
    last_slice_finished_at = finished,
    recent_rows = b.recent_rows * 0.75 + backfill_slice.raw_rows,
    recent_busy = b.recent_busy * 0.75 + (finished - started),
    -- after a long rest a new stretch begins
    recent_elapsed = b.recent_elapsed * 0.75 + case
      when started between state.last_slice_finished_at and state.last_slice_finished_at + interval '10 minutes'
      then finished - state.last_slice_finished_at else finished - started end;
  return next;
end $$;

COMMENT ON FUNCTION tallybook.backfill_slice(rows_max bigint, not_before timestamp with time zone, gently boolean, OUT since timestamp with time zone, OUT until timestamp with time zone, OUT raw_rows bigint, OUT rows_written bigint) IS 'Covers the newest days that are not covered and not before a day, in every rollup that lacks them, reading each raw row once. No row when there are none; gently: also while another one is at work, or has been a moment ago.';

CREATE FUNCTION tallybook.backlog(OUT usage_rows bigint, OUT task_rows bigint, OUT agent_rows bigint, OUT issue_rows bigint, OUT sealed_rows bigint, OUT oldest timestamp with time zone) RETURNS record
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
    union all select 'issue', captured_at from tallybook.issue_change where xid >= low or xid = any (opened)
    union all select 'sealed', captured_at from tallybook.sealed_change where xid >= low or xid = any (opened))
  select count(*) filter (where kind = 'usage'), count(*) filter (where kind = 'task'), count(*) filter (where kind = 'agent'),
    count(*) filter (where kind = 'issue'), count(*) filter (where kind = 'sealed'), min(captured_at)
  into usage_rows, task_rows, agent_rows, issue_rows, sealed_rows, oldest from waiting;
end $$;

COMMENT ON FUNCTION tallybook.backlog(OUT usage_rows bigint, OUT task_rows bigint, OUT agent_rows bigint, OUT issue_rows bigint, OUT sealed_rows bigint, OUT oldest timestamp with time zone) IS 'Change rows that wait to be folded, and when the oldest of them was captured.';

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
    AS $$
      
      begin
        
        if tg_op operator(pg_catalog.=) 'UPDATE' then
          insert into tallybook.agent_change (agent_id, workspace_id, sign) values (old.id, old.workspace_id, -1), (new.id, new.workspace_id, 1);
        elsif tg_op operator(pg_catalog.=) 'INSERT' then
          insert into tallybook.agent_change (agent_id, workspace_id, sign) values (new.id, new.workspace_id, 1);
        elsif tg_level operator(pg_catalog.=) 'ROW' then
          insert into tallybook.agent_change (agent_id, workspace_id, sign) values (old.id, old.workspace_id, -1);
        else
          insert into tallybook.agent_change (agent_id, workspace_id, sign) select r.id, r.workspace_id, -1 from old_rows r;
        end if;
        return null;
      end $$;

COMMENT ON FUNCTION tallybook.capture_agent() IS 'Logs which workspace an agent''s usage belongs to.';

CREATE FUNCTION tallybook.capture_faults() RETURNS SETOF text
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION tallybook.capture_faults() IS 'Why capture cannot be trusted: triggers that are missing, disabled or of the wrong kind, columns of adopted tables that were not found. No row when all is well.';

CREATE FUNCTION tallybook.capture_issue() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    AS $$
      
      begin
        
        if tg_op operator(pg_catalog.=) 'UPDATE' then
          insert into tallybook.issue_change (issue_id, project_id, sign) values (old.id, old.project_id, -1), (new.id, new.project_id, 1);
        elsif tg_op operator(pg_catalog.=) 'INSERT' then
          insert into tallybook.issue_change (issue_id, project_id, sign) values (new.id, new.project_id, 1);
        elsif tg_level operator(pg_catalog.=) 'ROW' then
          insert into tallybook.issue_change (issue_id, project_id, sign) values (old.id, old.project_id, -1);
        else
          insert into tallybook.issue_change (issue_id, project_id, sign) select r.id, r.project_id, -1 from old_rows r;
        end if;
        return null;
      end $$;

COMMENT ON FUNCTION tallybook.capture_issue() IS 'Logs which project an issue''s usage belongs to.';

CREATE FUNCTION tallybook.capture_sealed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    begin
      if tg_op <> 'INSERT' then
        insert into tallybook.sealed_change (bucket_start, workspace_id, runtime_id, agent_id, project_id, provider, model,  input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, cost_usd_ticks, uncosted_input_tokens, uncosted_output_tokens, uncosted_cache_read_tokens, uncosted_cache_write_tokens, uncosted_cache_write_1h_tokens, event_count) select bucket_start, workspace_id, runtime_id, agent_id, project_id, provider, model,  -input_tokens, -output_tokens, -cache_read_tokens, -cache_write_tokens, -cache_write_1h_tokens, -cost_usd_ticks, -uncosted_input_tokens, -uncosted_output_tokens, -uncosted_cache_read_tokens, -uncosted_cache_write_tokens, -uncosted_cache_write_1h_tokens, -event_count from old_rows;
      end if;
      if tg_op <> 'DELETE' then
        insert into tallybook.sealed_change (bucket_start, workspace_id, runtime_id, agent_id, project_id, provider, model,  input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, cost_usd_ticks, uncosted_input_tokens, uncosted_output_tokens, uncosted_cache_read_tokens, uncosted_cache_write_tokens, uncosted_cache_write_1h_tokens, event_count) select bucket_start, workspace_id, runtime_id, agent_id, project_id, provider, model,  input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, cost_usd_ticks, uncosted_input_tokens, uncosted_output_tokens, uncosted_cache_read_tokens, uncosted_cache_write_tokens, uncosted_cache_write_1h_tokens, event_count from new_rows;
      end if;
      return null;
    end $$;

COMMENT ON FUNCTION tallybook.capture_sealed() IS 'Logs what is sealed, and what is taken out of it.';

CREATE FUNCTION tallybook.capture_task() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    AS $$
      
      begin
        
        if tg_op operator(pg_catalog.=) 'UPDATE' then
          insert into tallybook.task_change (task_id, agent_id, runtime_id, issue_id, sign) values (old.id, old.agent_id, old.runtime_id, old.issue_id, -1), (new.id, new.agent_id, new.runtime_id, new.issue_id, 1);
        elsif tg_op operator(pg_catalog.=) 'INSERT' then
          insert into tallybook.task_change (task_id, agent_id, runtime_id, issue_id, sign) values (new.id, new.agent_id, new.runtime_id, new.issue_id, 1);
        elsif tg_level operator(pg_catalog.=) 'ROW' then
          insert into tallybook.task_change (task_id, agent_id, runtime_id, issue_id, sign) values (old.id, old.agent_id, old.runtime_id, old.issue_id, -1);
        else
          insert into tallybook.task_change (task_id, agent_id, runtime_id, issue_id, sign) select r.id, r.agent_id, r.runtime_id, r.issue_id, -1 from old_rows r;
        end if;
        return null;
      end $$;

COMMENT ON FUNCTION tallybook.capture_task() IS 'Logs what decides the key of a task''s usage.';

CREATE FUNCTION tallybook.capture_usage_by(form text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  if form is null or form not in ('statement', 'row') then
    raise exception 'usage is captured by ''statement'' or by ''row'', not by %', quote_nullable(form) using errcode = 'invalid_parameter_value';
  end if;
  update tallybook.installation set usage_captured_by = form;
  perform tallybook.install_capture('task_usage');
end $$;

COMMENT ON FUNCTION tallybook.capture_usage_by(form text) IS 'Installs the capture of usage, by ''statement'' or by ''row''. Takes SHARE ROW EXCLUSIVE on public.task_usage: no change slips between the two.';

CREATE FUNCTION tallybook.capture_usage_delete() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    AS $$
      
      begin
        if tg_level operator(pg_catalog.=) 'ROW' then
          
          insert into tallybook.usage_change (task_id, provider, model, happened_at, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, cost_usd_ticks, event_count) select old.task_id as task_id, old.provider::pg_catalog.text collate pg_catalog."C" as provider, old.model::pg_catalog.text collate pg_catalog."C" as model, old.created_at as happened_at, operator(pg_catalog.-) coalesce(old.input_tokens, 0)::numeric, operator(pg_catalog.-) coalesce(old.output_tokens, 0)::numeric, operator(pg_catalog.-) coalesce(old.cache_read_tokens, 0)::numeric, operator(pg_catalog.-) coalesce(old.cache_write_tokens, 0)::numeric, operator(pg_catalog.-) coalesce(old.cache_write_1h_tokens, 0)::numeric, operator(pg_catalog.-) old.cost_usd_ticks::numeric, -1;
        else
          
          insert into tallybook.usage_change (task_id, provider, model, happened_at, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, cost_usd_ticks, event_count) select r.task_id as task_id, r.provider::pg_catalog.text collate pg_catalog."C" as provider, r.model::pg_catalog.text collate pg_catalog."C" as model, r.created_at as happened_at, operator(pg_catalog.-) coalesce(r.input_tokens, 0)::numeric, operator(pg_catalog.-) coalesce(r.output_tokens, 0)::numeric, operator(pg_catalog.-) coalesce(r.cache_read_tokens, 0)::numeric, operator(pg_catalog.-) coalesce(r.cache_write_tokens, 0)::numeric, operator(pg_catalog.-) coalesce(r.cache_write_1h_tokens, 0)::numeric, operator(pg_catalog.-) r.cost_usd_ticks::numeric, -1 from old_rows r;
        end if;
        return null;
      end $$;

COMMENT ON FUNCTION tallybook.capture_usage_delete() IS 'Logs what rows of usage contribute, at their task.';

CREATE FUNCTION tallybook.capture_usage_insert() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    AS $$
      
      begin
        if tg_level operator(pg_catalog.=) 'ROW' then
          
          insert into tallybook.usage_change (task_id, provider, model, happened_at, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, cost_usd_ticks, event_count) select new.task_id as task_id, new.provider::pg_catalog.text collate pg_catalog."C" as provider, new.model::pg_catalog.text collate pg_catalog."C" as model, new.created_at as happened_at, coalesce(new.input_tokens, 0)::numeric, coalesce(new.output_tokens, 0)::numeric, coalesce(new.cache_read_tokens, 0)::numeric, coalesce(new.cache_write_tokens, 0)::numeric, coalesce(new.cache_write_1h_tokens, 0)::numeric, new.cost_usd_ticks::numeric, 1;
        else
          
          insert into tallybook.usage_change (task_id, provider, model, happened_at, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, cost_usd_ticks, event_count) select r.task_id as task_id, r.provider::pg_catalog.text collate pg_catalog."C" as provider, r.model::pg_catalog.text collate pg_catalog."C" as model, r.created_at as happened_at, coalesce(r.input_tokens, 0)::numeric, coalesce(r.output_tokens, 0)::numeric, coalesce(r.cache_read_tokens, 0)::numeric, coalesce(r.cache_write_tokens, 0)::numeric, coalesce(r.cache_write_1h_tokens, 0)::numeric, r.cost_usd_ticks::numeric, 1 from new_rows r;
        end if;
        return null;
      end $$;

COMMENT ON FUNCTION tallybook.capture_usage_insert() IS 'Logs what rows of usage contribute, at their task.';

CREATE FUNCTION tallybook.capture_usage_update() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    AS $$
      
      begin
        if tg_level operator(pg_catalog.=) 'ROW' then
          
          if new.task_id operator(pg_catalog.=) old.task_id and new.provider::pg_catalog.text collate pg_catalog."C" operator(pg_catalog.=) old.provider::pg_catalog.text collate pg_catalog."C" and new.model::pg_catalog.text collate pg_catalog."C" operator(pg_catalog.=) old.model::pg_catalog.text collate pg_catalog."C" and new.created_at operator(pg_catalog.=) old.created_at and (new.cost_usd_ticks is null) operator(pg_catalog.=) (old.cost_usd_ticks is null) then
          -- both images share a key: their difference; nothing where nothing changed
          if not (coalesce(new.input_tokens, 0) operator(pg_catalog.=) coalesce(old.input_tokens, 0) and coalesce(new.output_tokens, 0) operator(pg_catalog.=) coalesce(old.output_tokens, 0) and coalesce(new.cache_read_tokens, 0) operator(pg_catalog.=) coalesce(old.cache_read_tokens, 0) and coalesce(new.cache_write_tokens, 0) operator(pg_catalog.=) coalesce(old.cache_write_tokens, 0) and coalesce(new.cache_write_1h_tokens, 0) operator(pg_catalog.=) coalesce(old.cache_write_1h_tokens, 0) and coalesce(new.cost_usd_ticks, 0) operator(pg_catalog.=) coalesce(old.cost_usd_ticks, 0)) then
            insert into tallybook.usage_change (task_id, provider, model, happened_at, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, cost_usd_ticks, event_count) select new.task_id as task_id, new.provider::pg_catalog.text collate pg_catalog."C" as provider, new.model::pg_catalog.text collate pg_catalog."C" as model, new.created_at as happened_at, coalesce(new.input_tokens, 0)::numeric operator(pg_catalog.-) coalesce(old.input_tokens, 0)::numeric, coalesce(new.output_tokens, 0)::numeric operator(pg_catalog.-) coalesce(old.output_tokens, 0)::numeric, coalesce(new.cache_read_tokens, 0)::numeric operator(pg_catalog.-) coalesce(old.cache_read_tokens, 0)::numeric, coalesce(new.cache_write_tokens, 0)::numeric operator(pg_catalog.-) coalesce(old.cache_write_tokens, 0)::numeric, coalesce(new.cache_write_1h_tokens, 0)::numeric operator(pg_catalog.-) coalesce(old.cache_write_1h_tokens, 0)::numeric, new.cost_usd_ticks::numeric operator(pg_catalog.-) old.cost_usd_ticks::numeric, 0;
          end if;
        else
          insert into tallybook.usage_change (task_id, provider, model, happened_at, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, cost_usd_ticks, event_count) select old.task_id as task_id, old.provider::pg_catalog.text collate pg_catalog."C" as provider, old.model::pg_catalog.text collate pg_catalog."C" as model, old.created_at as happened_at, operator(pg_catalog.-) coalesce(old.input_tokens, 0)::numeric, operator(pg_catalog.-) coalesce(old.output_tokens, 0)::numeric, operator(pg_catalog.-) coalesce(old.cache_read_tokens, 0)::numeric, operator(pg_catalog.-) coalesce(old.cache_write_tokens, 0)::numeric, operator(pg_catalog.-) coalesce(old.cache_write_1h_tokens, 0)::numeric, operator(pg_catalog.-) old.cost_usd_ticks::numeric, -1 union all select new.task_id as task_id, new.provider::pg_catalog.text collate pg_catalog."C" as provider, new.model::pg_catalog.text collate pg_catalog."C" as model, new.created_at as happened_at, coalesce(new.input_tokens, 0)::numeric, coalesce(new.output_tokens, 0)::numeric, coalesce(new.cache_read_tokens, 0)::numeric, coalesce(new.cache_write_tokens, 0)::numeric, coalesce(new.cache_write_1h_tokens, 0)::numeric, new.cost_usd_ticks::numeric, 1;
        end if;
        else
          
          insert into tallybook.usage_change (task_id, provider, model, happened_at, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, cost_usd_ticks, event_count)
        -- both images of every row, summed where they share a key; nothing where nothing changed
        select i.task_id, i.provider, i.model, i.happened_at, (pg_catalog.sum(i.input_tokens) operator(pg_catalog.+) pg_catalog.count(*) filter (where i.sign operator(pg_catalog.<) 0)), (pg_catalog.sum(i.output_tokens) operator(pg_catalog.+) pg_catalog.count(*) filter (where i.sign operator(pg_catalog.<) 0)), (pg_catalog.sum(i.cache_read_tokens) operator(pg_catalog.+) pg_catalog.count(*) filter (where i.sign operator(pg_catalog.<) 0)), (pg_catalog.sum(i.cache_write_tokens) operator(pg_catalog.+) pg_catalog.count(*) filter (where i.sign operator(pg_catalog.<) 0)), (pg_catalog.sum(i.cache_write_1h_tokens) operator(pg_catalog.+) pg_catalog.count(*) filter (where i.sign operator(pg_catalog.<) 0)), (pg_catalog.sum(i.cost_usd_ticks) operator(pg_catalog.+) pg_catalog.count(*) filter (where i.sign operator(pg_catalog.<) 0)), pg_catalog.sum(i.sign)
        from (
          select 1 as sign, r.task_id as task_id, r.provider::pg_catalog.text collate pg_catalog."C" as provider, r.model::pg_catalog.text collate pg_catalog."C" as model, r.created_at as happened_at, coalesce(r.input_tokens, 0) as input_tokens, coalesce(r.output_tokens, 0) as output_tokens, coalesce(r.cache_read_tokens, 0) as cache_read_tokens, coalesce(r.cache_write_tokens, 0) as cache_write_tokens, coalesce(r.cache_write_1h_tokens, 0) as cache_write_1h_tokens, r.cost_usd_ticks as cost_usd_ticks from new_rows r
          union all select -1, r.task_id as task_id, r.provider::pg_catalog.text collate pg_catalog."C" as provider, r.model::pg_catalog.text collate pg_catalog."C" as model, r.created_at as happened_at, -1 operator(pg_catalog.-) coalesce(r.input_tokens, 0), -1 operator(pg_catalog.-) coalesce(r.output_tokens, 0), -1 operator(pg_catalog.-) coalesce(r.cache_read_tokens, 0), -1 operator(pg_catalog.-) coalesce(r.cache_write_tokens, 0), -1 operator(pg_catalog.-) coalesce(r.cache_write_1h_tokens, 0), -1 operator(pg_catalog.-) r.cost_usd_ticks from old_rows r) i
        group by i.task_id, i.provider, i.model, i.happened_at, i.cost_usd_ticks is null
        having pg_catalog.sum(i.sign) operator(pg_catalog.<>) 0 or (pg_catalog.sum(i.input_tokens) operator(pg_catalog.+) pg_catalog.count(*) filter (where i.sign operator(pg_catalog.<) 0)) operator(pg_catalog.<>) 0 or (pg_catalog.sum(i.output_tokens) operator(pg_catalog.+) pg_catalog.count(*) filter (where i.sign operator(pg_catalog.<) 0)) operator(pg_catalog.<>) 0 or (pg_catalog.sum(i.cache_read_tokens) operator(pg_catalog.+) pg_catalog.count(*) filter (where i.sign operator(pg_catalog.<) 0)) operator(pg_catalog.<>) 0 or (pg_catalog.sum(i.cache_write_tokens) operator(pg_catalog.+) pg_catalog.count(*) filter (where i.sign operator(pg_catalog.<) 0)) operator(pg_catalog.<>) 0 or (pg_catalog.sum(i.cache_write_1h_tokens) operator(pg_catalog.+) pg_catalog.count(*) filter (where i.sign operator(pg_catalog.<) 0)) operator(pg_catalog.<>) 0 or (pg_catalog.sum(i.cost_usd_ticks) operator(pg_catalog.+) pg_catalog.count(*) filter (where i.sign operator(pg_catalog.<) 0)) operator(pg_catalog.<>) 0;
        end if;
        return null;
      end $$;

COMMENT ON FUNCTION tallybook.capture_usage_update() IS 'Logs what rows of usage contribute, at their task.';

CREATE FUNCTION tallybook.wanted_columns(OUT source text, OUT name text, OUT is_needed boolean) RETURNS SETOF record
    LANGUAGE sql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    BEGIN ATOMIC
 SELECT list.source,
     wanted.name,
     list.is_needed
    FROM (( VALUES ('task_usage'::text,true,ARRAY['task_id'::text, 'provider'::text, 'model'::text, 'input_tokens'::text, 'output_tokens'::text, 'created_at'::text]), ('task_usage'::text,false,ARRAY['cache_read_tokens'::text, 'cache_write_tokens'::text, 'cache_write_1h_tokens'::text, 'cost_usd_ticks'::text, 'event_key'::text, 'updated_at'::text]), ('agent_task_queue'::text,true,ARRAY['id'::text, 'agent_id'::text, 'runtime_id'::text, 'issue_id'::text]), ('agent'::text,true,ARRAY['id'::text, 'workspace_id'::text]), ('issue'::text,true,ARRAY['id'::text, 'project_id'::text])) list(source, is_needed, names)
      CROSS JOIN LATERAL unnest(list.names) wanted(name));
END;

COMMENT ON FUNCTION tallybook.wanted_columns(OUT source text, OUT name text, OUT is_needed boolean) IS 'The columns of the source tables that are read, and whether they have to be there.';

CREATE TABLE tallybook.source_column (
    source text NOT NULL,
    name text NOT NULL,
    column_name text NOT NULL,
    relation oid NOT NULL,
    number smallint NOT NULL
);

ALTER TABLE ONLY tallybook.source_column REPLICA IDENTITY FULL;

COMMENT ON TABLE tallybook.source_column IS 'Which columns of adopted source tables are read; empty when the tables are our own.';

COMMENT ON COLUMN tallybook.source_column.source IS 'The table, in schema public.';

COMMENT ON COLUMN tallybook.source_column.name IS 'What Tallybook calls the column.';

COMMENT ON COLUMN tallybook.source_column.column_name IS 'What it was called when it was looked for last.';

COMMENT ON COLUMN tallybook.source_column.relation IS 'The table''s oid then: where it still is that, the number counts, else the name: after dump and restore, say.';

COMMENT ON COLUMN tallybook.source_column.number IS 'The column''s number in the table, which a new name does not change.';

CREATE FUNCTION tallybook.source_columns(OUT source text, OUT name text, OUT is_needed boolean, OUT relation oid, OUT number smallint, OUT column_name text, OUT type oid) RETURNS SETOF record
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    BEGIN ATOMIC
 SELECT w.source,
     w.name,
     w.is_needed,
     a.attrelid,
     a.attnum,
     (a.attname)::text AS attname,
     a.atttypid
    FROM ((tallybook.wanted_columns() w(source, name, is_needed)
      LEFT JOIN tallybook.source_column c ON (((c.source = w.source) AND (c.name = w.name))))
      LEFT JOIN LATERAL ( SELECT pg_attribute.attrelid,
             pg_attribute.attnum,
             pg_attribute.attname,
             pg_attribute.atttypid
            FROM pg_attribute
           WHERE ((pg_attribute.attrelid = (to_regclass(('public.'::text || w.source)))::oid) AND (pg_attribute.attnum > 0) AND (NOT pg_attribute.attisdropped) AND ((pg_attribute.attname = ANY (ARRAY[(w.name)::name, (c.column_name)::name])) OR ((pg_attribute.attrelid = c.relation) AND (pg_attribute.attnum = c.number))))
           ORDER BY COALESCE(((pg_attribute.attrelid = c.relation) AND (pg_attribute.attnum = c.number)), false) DESC, COALESCE((pg_attribute.attname = c.column_name), false) DESC
          LIMIT 1) a ON (true));
END;

COMMENT ON FUNCTION tallybook.source_columns(OUT source text, OUT name text, OUT is_needed boolean, OUT relation oid, OUT number smallint, OUT column_name text, OUT type oid) IS 'Where the columns of the source tables are now; those that are gone have no number.';

CREATE FUNCTION tallybook.column_of(row_name text, wanted_source text, wanted text) RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    RETURN ((row_name || '.'::text) || COALESCE((SELECT quote_ident(c.column_name) AS quote_ident FROM tallybook.source_columns() c(source, name, is_needed, relation, number, column_name, type) WHERE ((c.source = column_of.wanted_source) AND (c.name = column_of.wanted))), wanted));

COMMENT ON FUNCTION tallybook.column_of(row_name text, wanted_source text, wanted text) IS 'SQL: a column of a row of a source table, by the name that it has there.';

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
        from tallybook.usage_rows() u
        join tallybook.task_rows() t on t.id = u.task_id
        join tallybook.agent_rows() a on a.id = t.agent_id
        left join tallybook.issue_rows() i on i.id = t.issue_id
        union all
        select s.bucket_start, null::uuid, null::uuid, s.bucket_start, s.workspace_id, s.runtime_id, s.agent_id, s.project_id,
          s.provider, s.model, s.input_tokens, s.output_tokens, s.cache_read_tokens, s.cache_write_tokens, s.cache_write_1h_tokens, s.cost_usd_ticks, s.uncosted_input_tokens, s.uncosted_output_tokens, s.uncosted_cache_read_tokens, s.uncosted_cache_write_tokens, s.uncosted_cache_write_1h_tokens, s.event_count
        from tallybook.sealed_usage s
      $$;

COMMENT ON FUNCTION tallybook.contribution() IS 'What usage contributes, each raw row and each sum that is sealed: the truth that every now-view equals the sums of. Sealed usage has no task and no issue.';

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
        select date_trunc('day', tallybook.bucket(max(happened_at)), 'UTC') from tallybook.usage_rows() having max(happened_at) is not null
        union all
        select (
          select date_trunc('day', tallybook.bucket(max(u.happened_at)), 'UTC') from tallybook.usage_rows() u
          where u.happened_at < r.day having max(u.happened_at) is not null)
        from raw r where r.day > '0001-01-01 00:00+00')
      select held.day from (
        select (day at time zone 'UTC')::date as day from raw where day is not null
        union
        select '0001-01-01' where exists (select from tallybook.usage_rows() where happened_at is null)
        union
        select (bucket_start at time zone 'UTC')::date from tallybook.sealed_usage$sql$
      || coalesce(string_agg(format($sql$
        union
        select greatest(least(%2$s, '9999-12-31'), '0001-01-01') from tallybook.%1$s$sql$,
        name, case tallybook.bucket_column(bucket_width) when 'bucket_date' then 'bucket_date' else '(bucket_start at time zone ''UTC'')::date' end), ''), '')
      || ') held where held.day >= $1 and held.day < $2 order by held.day'
    from tallybook.rollup)
  using first_day, end_day;
end $_$;

COMMENT ON FUNCTION tallybook.days_held(since timestamp with time zone, until timestamp with time zone) IS 'The UTC days, in [since, until), on which there is usage, raw or sealed, or a row of any rollup.';

CREATE FUNCTION tallybook.define_capture_of_keys() RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
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
end $_$;

COMMENT ON FUNCTION tallybook.define_capture_of_keys() IS 'Makes the functions that capture tasks, agents and issues.';

CREATE FUNCTION tallybook.define_capture_of_usage() RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
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
end $_$;

COMMENT ON FUNCTION tallybook.define_capture_of_usage() IS 'Makes the functions that capture usage.';

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
end $_$;

COMMENT ON FUNCTION tallybook.define_now_view(rollup_name text) IS 'Makes the now-view of a rollup: the rollup, what is pending, and, as long as it reads raw, the days not covered.';

CREATE FUNCTION tallybook.define_sources() RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
declare
  source record;
begin
  execute format($function$
    create or replace function tallybook.usage_rows() returns table (task_id uuid, provider text, model text, happened_at timestamptz, %s)
      language sql stable as $body$ select %s from public.task_usage r $body$
  $function$, tallybook.each('{} numeric', tallybook.token_measures() || array['cost_usd_ticks']), tallybook.usage_image('r'));
  for source in
    select * from (values
      ('task_rows', 'agent_task_queue', array['id', 'agent_id', 'runtime_id', 'issue_id']),
      ('agent_rows', 'agent', array['id', 'workspace_id']),
      ('issue_rows', 'issue', array['id', 'project_id'])) as x (function, name, columns)
  loop
    execute format($function$
      create or replace function tallybook.%s() returns table (%s)
        language sql stable as $body$ select %s from public.%s r $body$
    $function$, source.function, tallybook.each('{} uuid', source.columns),
      (select string_agg(tallybook.column_of('r', source.name, c), ', ' order by n) from unnest(source.columns) with ordinality as x (c, n)), source.name);
    execute format('comment on function tallybook.%s is %L', source.function, format('The rows of public.%s, as far as they matter.', source.name));
  end loop;
  comment on function tallybook.usage_rows is 'The rows of public.task_usage, as far as they matter.';
end $_$;

COMMENT ON FUNCTION tallybook.define_sources() IS 'Makes the functions that read the source tables.';

CREATE FUNCTION tallybook.detach_partition(partition regclass) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET lock_timeout TO '200ms'
    AS $$
declare
  left_over boolean;
begin
  -- parent first, as everybody else; both for as long as it takes to look and to detach
  lock table only public.task_usage in access exclusive mode;
  if not exists (select from pg_inherits where inhrelid = partition and inhparent = 'public.task_usage'::regclass) then
    return false;
  end if;
  execute format('lock table %s in access exclusive mode', partition);
  execute format('select exists (select from %s)', partition) into left_over;
  if not left_over then
    -- nothing of it goes past the triggers
    delete from tallybook.source_file f
    where f.source = partition::text or f.source in (select p.relid::regclass::text from pg_partition_tree(partition) p);
    execute format('alter table public.task_usage detach partition %s', partition);
  end if;
  return not left_over;
end $$;

COMMENT ON FUNCTION tallybook.detach_partition(partition regclass) IS 'Detaches a partition of public.task_usage of which everything is sealed; false where something is left. It stays as an empty table of its own.';

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

CREATE FUNCTION tallybook.finite(measure real) RETURNS numeric
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN tallybook.finite((measure)::numeric);

COMMENT ON FUNCTION tallybook.finite(measure real) IS 'The same of a real.';

CREATE FUNCTION tallybook.finite(measure double precision) RETURNS numeric
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN tallybook.finite((measure)::numeric);

COMMENT ON FUNCTION tallybook.finite(measure double precision) IS 'The same of a double precision.';

CREATE FUNCTION tallybook.finite(measure smallint) RETURNS numeric
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (COALESCE((measure)::integer, 0))::numeric;

COMMENT ON FUNCTION tallybook.finite(measure smallint) IS 'The same of a smallint.';

CREATE FUNCTION tallybook.finite(measure integer) RETURNS numeric
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (COALESCE(measure, 0))::numeric;

COMMENT ON FUNCTION tallybook.finite(measure integer) IS 'The same of an integer.';

CREATE FUNCTION tallybook.finite(measure bigint) RETURNS numeric
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (COALESCE(measure, (0)::bigint))::numeric;

COMMENT ON FUNCTION tallybook.finite(measure bigint) IS 'The same of a bigint.';

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
    folded_sealed as (delete from tallybook.sealed_change where xid >= $1 or xid = any ($2)),
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

CREATE FUNCTION tallybook.follow_sources() RETURNS SETOF text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION tallybook.follow_sources() IS 'Finds the columns of adopted tables again that were renamed, and captures by their new names. Call it in the transaction that renames one, and no change is missed. Returns what was followed.';

CREATE FUNCTION tallybook.guarded(reading text, guarded_source text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN format('begin
          %s
        exception when others then
          perform tallybook.note_break(%L, sqlerrm);
          return null;
        end;'::text, reading, guarded_source);

COMMENT ON FUNCTION tallybook.guarded(reading text, guarded_source text) IS 'PL/pgSQL: reads columns of an adopted table, or notes that they cannot be read, and ends the trigger''s function.';

CREATE FUNCTION tallybook.happened_in(since timestamp with time zone, until timestamp with time zone) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET "DateStyle" TO 'ISO'
    RETURN CASE WHEN ((until <= '0001-01-01 00:00:00+00'::timestamp with time zone) OR (since > '9999-12-31 00:00:00+00'::timestamp with time zone)) THEN 'false'::text ELSE concat_ws(' and '::text, 'true', CASE WHEN (since > '0001-01-01 00:00:00+00'::timestamp with time zone) THEN format('happened_at >= %L'::text, since) ELSE NULL::text END, CASE WHEN (until > '9999-12-31 00:00:00+00'::timestamp with time zone) THEN NULL::text WHEN (since > '0001-01-01 00:00:00+00'::timestamp with time zone) THEN format('happened_at < %L'::text, until) ELSE format('(happened_at < %L or happened_at is null)'::text, until) END) END;

COMMENT ON FUNCTION tallybook.happened_in(since timestamp with time zone, until timestamp with time zone) IS 'SQL: a condition on happened_at, which finds the index on created_at, for the rows whose buckets lie in whole UTC days, [since, until).';

CREATE FUNCTION tallybook.identity_digest(task_id uuid, provider text, model text, event_key text) RETURNS uuid
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (encode("substring"(sha256(convert_to(((((((((((COALESCE((task_id)::text, ''::text) || ':'::text) || COALESCE(length(provider), 0)) || ':'::text) || COALESCE(lower((provider COLLATE "C")), ''::text)) || ':'::text) || COALESCE(length(model), 0)) || ':'::text) || COALESCE(model, ''::text)) || ':'::text) || COALESCE(event_key, ''::text)), 'UTF8'::name)), 1, 16), 'hex'::text))::uuid;

COMMENT ON FUNCTION tallybook.identity_digest(task_id uuid, provider text, model text, event_key text) IS 'The 16 bytes by which the identity of a usage row is known after it was sealed, however its provider is spelt.';

CREATE FUNCTION tallybook.token_measures() RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ARRAY['input_tokens'::text, 'output_tokens'::text, 'cache_read_tokens'::text, 'cache_write_tokens'::text, 'cache_write_1h_tokens'::text];

COMMENT ON FUNCTION tallybook.token_measures() IS 'The disjoint token counts of a usage row.';

CREATE FUNCTION tallybook.image_difference(insert_images text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    RETURN (SELECT format('if %1$s and (became.cost_usd_ticks is null) operator(pg_catalog.=) (was.cost_usd_ticks is null) then
          if not (%2$s) then
            %3$s select %4$s, %5$s, 0;
          end if;
        else
          %3$s select %6$s, -1 union all select %7$s, 1;
        end if;'::text, tallybook.each('became.{} operator(pg_catalog.=) was.{}'::text, image.key, ' and '::text), tallybook.each('coalesce(became.{}, 0) operator(pg_catalog.=) coalesce(was.{}, 0)'::text, image.measures, ' and '::text), image_difference.insert_images, tallybook.each('became.{}'::text, image.key), tallybook.each('became.{} operator(pg_catalog.-) was.{}'::text, image.measures), ((tallybook.each('was.{}'::text, image.key) || ', '::text) || tallybook.each('operator(pg_catalog.-) was.{}'::text, image.measures)), tallybook.each('became.{}'::text, (image.key || image.measures))) AS format FROM (SELECT ARRAY['task_id'::text, 'provider'::text, 'model'::text, 'happened_at'::text] AS "array", (tallybook.token_measures() || ARRAY['cost_usd_ticks'::text]) AS "?column?") image(key, measures));

COMMENT ON FUNCTION tallybook.image_difference(insert_images text) IS 'PL/pgSQL: logs how one row of adopted usage changed.';

CREATE FUNCTION tallybook.install_capture(source text, needs_rows boolean DEFAULT NULL::boolean) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET client_min_messages TO 'warning'
    AS $_$
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
end $_$;

COMMENT ON FUNCTION tallybook.install_capture(source text, needs_rows boolean) IS 'Puts the triggers that capture its changes on a source table, or makes them anew. Takes SHARE ROW EXCLUSIVE on it and its partitions.';

CREATE TABLE tallybook.installation (
    singleton boolean DEFAULT true NOT NULL,
    is_adopted boolean NOT NULL,
    usage_captured_by text DEFAULT 'statement'::text NOT NULL,
    CONSTRAINT installation_singleton_check CHECK (singleton),
    CONSTRAINT installation_usage_captured_by_check CHECK ((usage_captured_by = ANY (ARRAY['statement'::text, 'row'::text])))
);

ALTER TABLE ONLY tallybook.installation REPLICA IDENTITY FULL;

COMMENT ON TABLE tallybook.installation IS 'Whose the source tables are, and how their usage is captured: one row.';

COMMENT ON COLUMN tallybook.installation.is_adopted IS 'Whether the source tables were there before Tallybook: nothing of them is altered, and they stay when Tallybook goes.';

COMMENT ON COLUMN tallybook.installation.usage_captured_by IS 'Whether usage is captured by statement or by row.';

CREATE FUNCTION tallybook.is_adopted() RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    BEGIN ATOMIC
 SELECT installation.is_adopted
    FROM tallybook.installation;
END;

COMMENT ON FUNCTION tallybook.is_adopted() IS 'Whether the source tables are somebody else''s.';

CREATE FUNCTION tallybook.is_captured_by_row(source text, event text, needs_rows boolean) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    BEGIN ATOMIC
 SELECT
         CASE
             WHEN (is_captured_by_row.event = 'delete'::text) THEN is_captured_by_row.needs_rows
             ELSE ((is_captured_by_row.source <> 'task_usage'::text) OR (i.usage_captured_by = 'row'::text))
         END AS "case"
    FROM tallybook.installation i;
END;

COMMENT ON FUNCTION tallybook.is_captured_by_row(source text, event text, needs_rows boolean) IS 'How the triggers of a source table are made: by row, else by statement.';

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
    or exists (select from tallybook.issue_change where xid >= low or xid = any (opened))
    or exists (select from tallybook.sealed_change where xid >= low or xid = any (opened));
end $$;

COMMENT ON FUNCTION tallybook.is_pending() IS 'Whether any change row waits to be folded.';

CREATE FUNCTION tallybook.is_replicated(source regclass) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    BEGIN ATOMIC
 SELECT (EXISTS ( SELECT
            FROM pg_subscription_rel s
           WHERE ((s.srrelid = (is_replicated.source)::oid) OR (s.srrelid IN ( SELECT p.relid
                    FROM pg_partition_tree(is_replicated.source) p(relid, parentrelid, isleaf, level)))))) AS "exists";
END;

COMMENT ON FUNCTION tallybook.is_replicated(source regclass) IS 'Whether logical replication writes a table, or a partition of it.';

CREATE FUNCTION tallybook.is_seen(rollup_name text) RETURNS boolean
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION tallybook.is_seen(rollup_name text) IS 'True where the snapshot is not older than the rollup''s table, or the table made anew (else 40001: it would be empty, not exact), and no change was missed.';

CREATE FUNCTION tallybook.issue_rows() RETURNS TABLE(id uuid, project_id uuid)
    LANGUAGE sql STABLE
    AS $$ select r.id, r.project_id from public.issue r $$;

COMMENT ON FUNCTION tallybook.issue_rows() IS 'The rows of public.issue, as far as they matter.';

CREATE FUNCTION tallybook.needs_rows(source text) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    BEGIN ATOMIC
 SELECT ((c.relkind = 'p'::"char") OR tallybook.is_replicated((c.oid)::regclass) OR (EXISTS ( SELECT
            FROM pg_inherits i
           WHERE (i.inhrelid = c.oid))))
    FROM pg_class c
   WHERE (c.oid = (to_regclass(('public.'::text || needs_rows.source)))::oid);
END;

COMMENT ON FUNCTION tallybook.needs_rows(source text) IS 'Whether triggers by statement miss some of what is written to a source table.';

CREATE FUNCTION tallybook.lacks_capture(source text) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    BEGIN ATOMIC
 SELECT ((EXISTS ( SELECT
            FROM (unnest(ARRAY['insert'::text, 'update'::text, 'delete'::text, 'truncate'::text]) event(event)
              LEFT JOIN pg_trigger t ON (((t.tgrelid = (to_regclass(('public.'::text || lacks_capture.source)))::oid) AND (t.tgname = ('tallybook_'::text || event.event)))))
           WHERE ((t.oid IS NULL) OR (t.tgenabled <> ALL (ARRAY['O'::"char", 'A'::"char"])) OR ((event.event <> 'truncate'::text) AND ((((t.tgtype)::integer & 1) = 1) <> tallybook.is_captured_by_row(lacks_capture.source, event.event, tallybook.needs_rows(lacks_capture.source)))) OR ((event.event <> 'truncate'::text) AND (t.tgenabled <> 'A'::"char") AND tallybook.is_replicated((t.tgrelid)::regclass))))) OR (EXISTS ( SELECT
            FROM pg_partition_tree(to_regclass(('public.'::text || lacks_capture.source))) p(relid, parentrelid, isleaf, level)
           WHERE ((p.level > 0) AND (NOT (EXISTS ( SELECT
                    FROM pg_trigger t
                   WHERE ((t.tgrelid = (p.relid)::oid) AND (t.tgname = 'tallybook_truncate'::name) AND (t.tgenabled = ANY (ARRAY['O'::"char", 'A'::"char"]))))))))));
END;

COMMENT ON FUNCTION tallybook.lacks_capture(source text) IS 'Whether install_capture would change anything.';

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

CREATE FUNCTION tallybook.measures() RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (tallybook.token_measures() || ARRAY['cost_usd_ticks'::text, 'uncosted_input_tokens'::text, 'uncosted_output_tokens'::text, 'uncosted_cache_read_tokens'::text, 'uncosted_cache_write_tokens'::text, 'uncosted_cache_write_1h_tokens'::text, 'event_count'::text]);

COMMENT ON FUNCTION tallybook.measures() IS 'What rollups sum: tokens; the cost that providers named, in 1e-10 USD; the tokens of rows for which they named none; the number of rows.';

CREATE FUNCTION tallybook.measures_of(image text, sign text DEFAULT ''::text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (((((((((tallybook.each(((('sum('::text || sign) || image) || '.{}) as {}'::text), tallybook.token_measures()) || ', coalesce(sum('::text) || sign) || image) || '.cost_usd_ticks), 0) as cost_usd_ticks, '::text) || tallybook.each(((((('coalesce(sum('::text || sign) || image) || '.{}) filter (where '::text) || image) || '.cost_usd_ticks is null), 0) as uncosted_{}'::text), tallybook.token_measures())) || ', sum('::text) || sign) || image) || '.event_count)::bigint as event_count'::text);

COMMENT ON FUNCTION tallybook.measures_of(image text, sign text) IS 'SQL: the sums of the measures of images; sign is a factor, such as ''s.sign * ''.';

CREATE FUNCTION tallybook.mend_capture() RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION tallybook.mend_capture() IS 'Where changes were not captured: follows the source tables and has all days read from raw, until backfill covers them again. The caller holds the fold lock.';

CREATE FUNCTION tallybook.name_key(name text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN (octet_length(name) <= 256) THEN name WHEN (name IS NULL) THEN ''::text ELSE tallybook.long_name_key(name) END;

COMMENT ON FUNCTION tallybook.name_key(name text) IS 'A provider''s or model''s name as it enters keys: null is the empty name, one of over 256 bytes is cut and digested.';

CREATE TABLE tallybook.capture_break (
    source text NOT NULL,
    message text NOT NULL,
    xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    noted_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

ALTER TABLE ONLY tallybook.capture_break REPLICA IDENTITY FULL;

COMMENT ON TABLE tallybook.capture_break IS 'Transactions that changed an adopted table in a way that was not captured, until the columns are found again and all days are read from raw. Empty when all is well.';

COMMENT ON COLUMN tallybook.capture_break.source IS 'The table, in schema public.';

COMMENT ON COLUMN tallybook.capture_break.message IS 'Why not.';

COMMENT ON COLUMN tallybook.capture_break.xid IS 'The transaction; each says it once a table.';

COMMENT ON COLUMN tallybook.capture_break.noted_at IS 'When, by the database''s clock.';

CREATE FUNCTION tallybook.note_break(broken_source text, reason text) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    BEGIN ATOMIC
 INSERT INTO tallybook.capture_break (source, message)  SELECT note_break.broken_source AS broken_source,
             note_break.reason AS reason
           WHERE (NOT (EXISTS ( SELECT
                    FROM tallybook.capture_break b
                   WHERE ((b.xid = pg_current_xact_id()) AND (b.source = note_break.broken_source)))));
END;

COMMENT ON FUNCTION tallybook.note_break(broken_source text, reason text) IS 'Says that this transaction changed a table in a way that could not be captured.';

CREATE FUNCTION tallybook.note_columns() RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  delete from tallybook.source_column s
  using tallybook.source_columns() c
  where c.source = s.source and c.name = s.name and c.number is null;
  insert into tallybook.source_column as s (source, name, column_name, relation, number)
  select source, name, column_name, relation, number from tallybook.source_columns() where number is not null
  on conflict (source, name) do update set column_name = excluded.column_name, relation = excluded.relation, number = excluded.number
  where (s.column_name, s.relation, s.number) <> (excluded.column_name, excluded.relation, excluded.number);
end $$;

COMMENT ON FUNCTION tallybook.note_columns() IS 'Writes down where the columns of adopted source tables are.';

CREATE FUNCTION tallybook.notice_rewrites() RETURNS SETOF text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  new_files jsonb;
  rewritten text[];
begin
  -- a partition that comes with rows brings, and one that goes takes, what no trigger has seen
  select jsonb_object_agg(source, present.file), array_agg(source order by source) filter (
    where s.file is not null or (present.is_partition and pg_relation_size(present.relation) > 0 and exists (select from tallybook.source_file)))
  into new_files, rewritten
  from (
    select relation, relation::regclass::text as source, coalesce(pg_relation_filenode(relation), 0) as file, is_partition
    from (
      select root, false from unnest(array['public.task_usage', 'public.agent_task_queue', 'public.agent', 'public.issue']::regclass[]) as root
      union all
      select p.relid, true from unnest(array['public.task_usage', 'public.agent_task_queue', 'public.agent', 'public.issue']::regclass[]) as root
      cross join lateral pg_partition_tree(root) p where p.level > 0) x (relation, is_partition)) present
  full join tallybook.source_file s using (source)
  where present.file is distinct from s.file;
  -- one at a time; who comes second has nothing to notice
  if new_files is null or not pg_try_advisory_xact_lock((1718578285::bigint << 32) | 'tallybook'::regnamespace::oid::bigint) then
    return;
  end if;
  delete from tallybook.source_file s using jsonb_each_text(new_files) f where s.source = f.key and f.value is null;
  insert into tallybook.source_file (source, file) select key, value::oid from jsonb_each_text(new_files) where value is not null
  on conflict (source) do update set file = excluded.file;
  if rewritten is null then
    return;
  end if;
  update tallybook.verify_state
  set due_at = '-infinity', next_is_newest = true, unchecked_until = 'infinity', round_started_at = null, checked_since = null;
  return query select unnest(rewritten);
end $$;

COMMENT ON FUNCTION tallybook.notice_rewrites() IS 'The source tables that were rewritten since it was called last, by ALTER, VACUUM FULL or CLUSTER, and the partitions that came or went with rows: all days are to be verified anew, since values may have changed unseen.';

CREATE FUNCTION tallybook.old_partitions(before timestamp with time zone) RETURNS SETOF regclass
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET "DateStyle" TO 'ISO'
    SET "TimeZone" TO 'UTC'
    AS $_$
  -- the upper bound of a range of times; a partition of another kind, or the default one, has none
  select i.inhrelid::regclass
  from pg_inherits i
  join pg_class c on c.oid = i.inhrelid
  join pg_partitioned_table p on p.partrelid = i.inhparent
  join pg_attribute a on a.attrelid = i.inhparent and a.attnum = p.partattrs[0]
  where i.inhparent = 'public.task_usage'::regclass and not i.inhdetachpending and p.partstrat = 'r' and p.partnatts = 1
    and quote_ident(a.attname) = substring(tallybook.column_of('', 'task_usage', 'created_at') from 2)
    and substring(pg_get_expr(c.relpartbound, c.oid) from $re$ TO \('([^']+)'\)$$re$)::timestamptz <= before
  order by i.inhrelid::regclass::text
$_$;

COMMENT ON FUNCTION tallybook.old_partitions(before timestamp with time zone) IS 'The partitions of public.task_usage that hold only what happened before a time.';

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
  -- the keys of what is sealed are final: nothing has to be looked up
  return query select bucket_start, workspace_id, runtime_id, agent_id, project_id, provider, model, input_tokens, output_tokens, cache_read_tokens,
    cache_write_tokens, cache_write_1h_tokens, cost_usd_ticks, uncosted_input_tokens, uncosted_output_tokens, uncosted_cache_read_tokens,
    uncosted_cache_write_tokens, uncosted_cache_write_1h_tokens, event_count
  from tallybook.sealed_change where xid >= low or xid = any (opened);
  select (select count(*) from (select from tallybook.usage_change where xid >= low or xid = any (opened) limit lookups_max) x)
    + (select count(*) from (select from tallybook.task_change where xid >= low or xid = any (opened) limit lookups_max) x)
    + (select count(*) from (select from tallybook.agent_change c join tallybook.task_rows() t on t.agent_id = c.agent_id
        where c.xid >= low or c.xid = any (opened) limit lookups_max) x)
    + (select count(*) from (select from tallybook.issue_change c join tallybook.task_rows() t on t.issue_id = c.issue_id
        where c.xid >= low or c.xid = any (opened) limit lookups_max) x)
  into lookups;
  if lookups < lookups_max then
    return query select * from tallybook.pending_by_lookup(low, opened);
  else
    return query select * from tallybook.pending_by_join(low, opened);
  end if;
end $$;

COMMENT ON FUNCTION tallybook.pending() IS 'What the rollups do not show yet, in the caller''s snapshot: contributions now minus contributions in the state that they show. A key may come twice.';

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
          cross join lateral (select id from tallybook.task_rows() where agent_id = c.agent_id ) t
        union select t.id from (select distinct issue_id from issue_changes) c
          cross join lateral (select id from tallybook.task_rows() where issue_id = c.issue_id ) t),
      usage_now as materialized (
        select u.* from moved m
        cross join lateral (
          select c.task_id, tallybook.provider_key(c.provider collate "C") as provider, tallybook.name_key(c.model collate "C") as model, tallybook.bucket(c.happened_at) as bucket_start, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, cost_usd_ticks, 1::bigint as event_count
          from (select * from tallybook.usage_rows() r where r.task_id = m.task_id ) c) u),
      task_now as materialized (
        select s.task_id, t.agent_id, t.runtime_id, t.issue_id
        from (select task_id from usage_changes union select task_id from task_changes) s
        cross join lateral (select agent_id, runtime_id, issue_id from tallybook.task_rows() where id = s.task_id ) t),
      task_then as materialized (
        select task_id, agent_id, runtime_id, issue_id
        from (
          select m.task_id, t.agent_id, t.runtime_id, t.issue_id, 1 as sign
          from moved m
          cross join lateral (select agent_id, runtime_id, issue_id from tallybook.task_rows() where id = m.task_id ) t
          union all select task_id, agent_id, runtime_id, issue_id, -sign from task_changes) x
        group by task_id, agent_id, runtime_id, issue_id having sum(sign) <> 0),
      agent_then as materialized (
        select agent_id, workspace_id
        from (
          select t.agent_id, a.workspace_id, 1 as sign
          from (select agent_id from task_then union select agent_id from task_then) t
          cross join lateral (select workspace_id from tallybook.agent_rows() where id = t.agent_id ) a
          union all select agent_id, workspace_id, -sign from agent_changes) x
        group by agent_id, workspace_id having sum(sign) <> 0),
      issue_then as materialized (
        select issue_id, project_id
        from (
          select t.issue_id, i.project_id, 1 as sign
          from (select issue_id from task_then union select issue_id from task_then) t
          cross join lateral (select project_id from tallybook.issue_rows() where id = t.issue_id ) i
          union all select issue_id, project_id, -sign from issue_changes) x
        group by issue_id, project_id having sum(sign) <> 0),
      signed as (
        -- at the key now: all usage of moved tasks, and what changed of the others
        select 1 as sign, d.*, t.runtime_id, t.agent_id, a.workspace_id, i.project_id
        from (
          select * from usage_now
          union all select c.* from usage_changes c where not exists (select from moved m where m.task_id = c.task_id)) d
        cross join lateral (select agent_id, runtime_id, issue_id from tallybook.task_rows() where id = d.task_id ) t
        cross join lateral (select workspace_id from tallybook.agent_rows() where id = t.agent_id ) a
        left join lateral (select project_id from tallybook.issue_rows() where id = t.issue_id ) i on true
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
    cross join lateral (select agent_id, runtime_id, issue_id from tallybook.task_rows() where id = d.task_id ) t
        cross join lateral (select workspace_id from tallybook.agent_rows() where id = t.agent_id ) a
        left join lateral (select project_id from tallybook.issue_rows() where id = t.issue_id ) i on true
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
          cross join lateral (select id from tallybook.task_rows() where agent_id = c.agent_id offset 0) t
        union select t.id from (select distinct issue_id from issue_changes) c
          cross join lateral (select id from tallybook.task_rows() where issue_id = c.issue_id offset 0) t),
      usage_now as materialized (
        select u.* from moved m
        cross join lateral (
          select c.task_id, tallybook.provider_key(c.provider collate "C") as provider, tallybook.name_key(c.model collate "C") as model, tallybook.bucket(c.happened_at) as bucket_start, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, cost_usd_ticks, 1::bigint as event_count
          from (select * from tallybook.usage_rows() r where r.task_id = m.task_id offset 0) c) u),
      task_now as materialized (
        select s.task_id, t.agent_id, t.runtime_id, t.issue_id
        from (select task_id from usage_changes union select task_id from task_changes) s
        cross join lateral (select agent_id, runtime_id, issue_id from tallybook.task_rows() where id = s.task_id offset 0) t),
      task_then as materialized (
        select task_id, agent_id, runtime_id, issue_id
        from (
          select m.task_id, t.agent_id, t.runtime_id, t.issue_id, 1 as sign
          from moved m
          cross join lateral (select agent_id, runtime_id, issue_id from tallybook.task_rows() where id = m.task_id offset 0) t
          union all select task_id, agent_id, runtime_id, issue_id, -sign from task_changes) x
        group by task_id, agent_id, runtime_id, issue_id having sum(sign) <> 0),
      agent_then as materialized (
        select agent_id, workspace_id
        from (
          select t.agent_id, a.workspace_id, 1 as sign
          from (select agent_id from task_then union select agent_id from task_then) t
          cross join lateral (select workspace_id from tallybook.agent_rows() where id = t.agent_id offset 0) a
          union all select agent_id, workspace_id, -sign from agent_changes) x
        group by agent_id, workspace_id having sum(sign) <> 0),
      issue_then as materialized (
        select issue_id, project_id
        from (
          select t.issue_id, i.project_id, 1 as sign
          from (select issue_id from task_then union select issue_id from task_then) t
          cross join lateral (select project_id from tallybook.issue_rows() where id = t.issue_id offset 0) i
          union all select issue_id, project_id, -sign from issue_changes) x
        group by issue_id, project_id having sum(sign) <> 0),
      signed as (
        -- at the key now: all usage of moved tasks, and what changed of the others
        select 1 as sign, d.*, t.runtime_id, t.agent_id, a.workspace_id, i.project_id
        from (
          select * from usage_now
          union all select c.* from usage_changes c where not exists (select from moved m where m.task_id = c.task_id)) d
        cross join lateral (select agent_id, runtime_id, issue_id from tallybook.task_rows() where id = d.task_id offset 0) t
        cross join lateral (select workspace_id from tallybook.agent_rows() where id = t.agent_id offset 0) a
        left join lateral (select project_id from tallybook.issue_rows() where id = t.issue_id offset 0) i on true
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
    cross join lateral (select agent_id, runtime_id, issue_id from tallybook.task_rows() where id = d.task_id offset 0) t
        cross join lateral (select workspace_id from tallybook.agent_rows() where id = t.agent_id offset 0) a
        left join lateral (select project_id from tallybook.issue_rows() where id = t.issue_id offset 0) i on true
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
          from (select * from tallybook.usage_rows() r where r.task_id = m.task_id offset 0) c) u),
      task_now as materialized (
        select s.task_id, t.agent_id, t.runtime_id, t.issue_id
        from (select task_id from usage_changes union select task_id from task_changes) s
        cross join lateral (select agent_id, runtime_id, issue_id from tallybook.task_rows() where id = s.task_id offset 0) t),
      task_then as materialized (
        select task_id, agent_id, runtime_id, issue_id
        from (
          select m.task_id, t.agent_id, t.runtime_id, t.issue_id, 1 as sign
          from moved m
          cross join lateral (select agent_id, runtime_id, issue_id from tallybook.task_rows() where id = m.task_id offset 0) t
          union all select task_id, agent_id, runtime_id, issue_id, -sign from task_changes) x
        group by task_id, agent_id, runtime_id, issue_id having sum(sign) <> 0),
      agent_then as materialized (
        select agent_id, workspace_id
        from (
          select t.agent_id, a.workspace_id, 1 as sign
          from (select agent_id from task_then union select agent_id from task_now) t
          cross join lateral (select workspace_id from tallybook.agent_rows() where id = t.agent_id offset 0) a
          union all select agent_id, workspace_id, -sign from agent_changes) x
        group by agent_id, workspace_id having sum(sign) <> 0),
      issue_then as materialized (
        select issue_id, project_id
        from (
          select t.issue_id, i.project_id, 1 as sign
          from (select issue_id from task_then union select issue_id from task_now) t
          cross join lateral (select project_id from tallybook.issue_rows() where id = t.issue_id offset 0) i
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

CREATE FUNCTION tallybook.purge_sealed(kind text, id uuid) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  touched bigint;
begin
  perform tallybook.wait_for_seal_lock();
  case kind
    when 'workspace' then delete from tallybook.sealed_usage s where s.workspace_id = purge_sealed.id;
    when 'agent' then delete from tallybook.sealed_usage s where s.agent_id = purge_sealed.id;
    when 'runtime' then update tallybook.sealed_usage s set runtime_id = null where s.runtime_id = purge_sealed.id;
    when 'project' then update tallybook.sealed_usage s set project_id = null where s.project_id = purge_sealed.id;
    else raise exception 'sealed usage is not known by its %', quote_nullable(kind) using errcode = 'invalid_parameter_value',
      hint = 'It is by workspace, agent, runtime and project.';
  end case;
  get diagnostics touched = row_count;
  if touched > 0 then
    perform tallybook.record_audit('database', null, null, 'usage.purge', case kind when 'workspace' then id end, kind || ' ' || id,
      jsonb_build_object('sealed_rows', touched));
  end if;
  return touched;
end $$;

COMMENT ON FUNCTION tallybook.purge_sealed(kind text, id uuid) IS 'Takes a workspace or an agent out of sealed usage with what it used; a runtime or a project leaves its usage to nobody, as it does that of tasks. Call it after the entity was deleted, in the same READ COMMITTED transaction. Returns the rows changed.';

CREATE TABLE tallybook.sealed_usage (
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
    event_count bigint NOT NULL,
    is_thinned boolean DEFAULT false NOT NULL
);

ALTER TABLE ONLY tallybook.sealed_usage REPLICA IDENTITY FULL;

COMMENT ON TABLE tallybook.sealed_usage IS 'Usage that retention has taken out of public.task_usage: sums at keys that no move changes any more. Part of the truth.';

COMMENT ON COLUMN tallybook.sealed_usage.is_thinned IS 'Whether only the UTC day is known: bucket_start is its first quarter hour.';

CREATE FUNCTION tallybook.quarter_hours_exact_from() RETURNS timestamp with time zone
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    BEGIN ATOMIC
 SELECT (max(sealed_usage.bucket_start) + '24:00:00'::interval)
    FROM tallybook.sealed_usage
   WHERE sealed_usage.is_thinned;
END;

COMMENT ON FUNCTION tallybook.quarter_hours_exact_from() IS 'From when on usage is known by its quarter hour: the end of the last UTC day that was thinned. Null: all is. Before it, a thinned day''s usage is shown in the day''s first quarter hour.';

CREATE FUNCTION tallybook.raw_rows_before(until timestamp with time zone, OUT raw_rows bigint, OUT is_estimate boolean) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET "DateStyle" TO 'ISO'
    SET jit TO 'off'
    SET enable_seqscan TO 'off'
    AS $$
declare
  -- so many are counted; of more the planner is asked
  counted_max constant bigint := 100000;
  -- infinity stays what it is
  newest constant timestamptz := until - interval '1 microsecond';
  plan jsonb;
begin
  raw_rows := 0;
  is_estimate := false;
  if until = '-infinity' then
    return;
  end if;
  select count(*) into raw_rows from (
    (select from tallybook.usage_rows() where happened_at <= newest limit counted_max + 1)
    union all
    (select from tallybook.usage_rows() where happened_at is null limit counted_max + 1)) r;
  is_estimate := raw_rows > counted_max;
  if is_estimate then
    execute format('explain (format json) select from tallybook.usage_rows() where happened_at <= %L', newest) into plan;
    raw_rows := greatest(raw_rows, (plan -> 0 -> 'Plan' ->> 'Plan Rows')::numeric::bigint);
  end if;
end $$;

COMMENT ON FUNCTION tallybook.raw_rows_before(until timestamp with time zone, OUT raw_rows bigint, OUT is_estimate boolean) IS 'How many raw rows are older than a time: counted where they are few, else as the planner estimates it.';

CREATE FUNCTION tallybook.raw_rows_between(since timestamp with time zone, until timestamp with time zone, OUT raw_rows bigint, OUT days bigint) RETURNS record
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET jit TO 'off'
    AS $$
begin
  execute format('select count(*), count(distinct date_trunc(''day'', tallybook.bucket(happened_at), ''UTC''))
    from tallybook.usage_rows() where %s', tallybook.happened_in(since, until)) into raw_rows, days;
end $$;

COMMENT ON FUNCTION tallybook.raw_rows_between(since timestamp with time zone, until timestamp with time zone, OUT raw_rows bigint, OUT days bigint) IS 'How many raw rows lie in whole UTC days, [since, until), and on how many days.';

CREATE FUNCTION tallybook.rebuild(since timestamp with time zone, until timestamp with time zone) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET "DateStyle" TO 'ISO'
    AS $_$
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

CREATE FUNCTION tallybook.record_audit(via text, token uuid, request text, action text, workspace uuid, target text, details jsonb) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
#variable_conflict use_variable
begin
  insert into tallybook.audit_log (via, token_id, token_name, request_id, action, workspace_id, target, details)
  values (via, token, (select t.name from tallybook.access_token t where t.id = token), request, action, workspace, target, coalesce(details, '{}'));
end $$;

COMMENT ON FUNCTION tallybook.record_audit(via text, token uuid, request text, action text, workspace uuid, target text, details jsonb) IS 'Adds an entry to the audit log, in the transaction of what it tells of.';

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

CREATE FUNCTION tallybook.refuse_audit_change() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  raise exception 'the audit log is only added to' using errcode = 'object_not_in_prerequisite_state',
    hint = 'To shorten it, copy what goes elsewhere; then its owner disables the trigger refuse_change, deletes, and enables it again.';
end $$;

COMMENT ON FUNCTION tallybook.refuse_audit_change() IS 'Keeps entries of the audit log as they are.';

CREATE FUNCTION tallybook.refuse_rewritten() RETURNS void
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  partitioned regclass;
begin
  -- opening a table waits for whoever rewrites it
  perform from public.task_usage, public.agent_task_queue, public.agent, public.issue where false;
  if exists (select from pg_class where oid in ('public.task_usage'::regclass, 'public.agent_task_queue'::regclass, 'public.agent'::regclass, 'public.issue'::regclass)
      and relfilenode <> pg_relation_filenode(oid)) then
    raise exception 'a source table was rewritten after this snapshot was taken' using errcode = 'serialization_failure', hint = 'Retry the transaction.';
  end if;
  for partitioned in
    select oid from pg_class
    where oid in ('public.task_usage'::regclass, 'public.agent_task_queue'::regclass, 'public.agent'::regclass, 'public.issue'::regclass) and relkind = 'p'
  loop
    execute format('select from %s limit 0', partitioned);
    -- the rows of a partition that was detached are gone from older snapshots, too; the catalog in the snapshot still names it
    if exists (
        select from (select inhrelid from pg_inherits where inhparent = partitioned) seen
        full join (select relid from pg_partition_tree(partitioned) where level = 1) present on relid = inhrelid
        where relid is null or inhrelid is null) then
      raise exception 'a partition came or went after this snapshot was taken' using errcode = 'serialization_failure', hint = 'Retry the transaction.';
    elsif exists (
        select from pg_partition_tree(partitioned) p join pg_class c on c.oid = p.relid
        where p.isleaf and c.relfilenode <> pg_relation_filenode(c.oid)) then
      raise exception 'a partition was rewritten after this snapshot was taken' using errcode = 'serialization_failure', hint = 'Retry the transaction.';
    end if;
  end loop;
end $$;

COMMENT ON FUNCTION tallybook.refuse_rewritten() IS 'Fails with 40001 when the snapshot is older than the present file of a source table or a partition of it, or than its present partitions.';

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

CREATE FUNCTION tallybook.require_sealable(since timestamp with time zone, until timestamp with time zone) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  obstacle text;
begin
  if since is null or until is null or since <> date_trunc('day', since, 'UTC') or until <> date_trunc('day', until, 'UTC') then
    raise exception 'usage is sealed in whole UTC days' using errcode = 'invalid_parameter_value';
  elsif until > date_trunc('day', clock_timestamp(), 'UTC') then
    raise exception 'usage is sealed when its UTC day is over' using errcode = 'invalid_parameter_value';
  elsif current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'usage cannot be sealed in isolation level %', current_setting('transaction_isolation') using errcode = 'active_sql_transaction',
      hint = 'Call this function in a READ COMMITTED transaction.';
  end if;
  select name into obstacle from tallybook.rollup where covered_from > since order by name limit 1;
  if found then
    raise exception 'the rollup % does not cover these days', obstacle using errcode = 'object_not_in_prerequisite_state',
      hint = 'Run `tallybook backfill` first.';
  end if;
  select rollup into obstacle from tallybook.drift
  where day >= (since at time zone 'UTC')::date and day < (until at time zone 'UTC')::date order by rollup limit 1;
  if found then
    raise exception 'the rollup % differs from raw usage on these days', obstacle using errcode = 'object_not_in_prerequisite_state',
      hint = 'Run `tallybook doctor`, then `tallybook repair`.';
  end if;
end $$;

COMMENT ON FUNCTION tallybook.require_sealable(since timestamp with time zone, until timestamp with time zone) IS 'Fails unless [since, until) are whole UTC days that are over, that every rollup covers, and on which none is known to differ.';

CREATE FUNCTION tallybook.require_slice(rows_max bigint, not_before timestamp with time zone) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  if rows_max is null or rows_max < 1 then
    raise exception 'a slice has at least one row, not %', coalesce(rows_max::text, 'null') using errcode = 'invalid_parameter_value';
  elsif not_before is null or not_before <> date_trunc('day', not_before, 'UTC') then
    raise exception 'backfill stops at the beginning of a UTC day, not at %', coalesce(not_before::text, 'null') using errcode = 'invalid_parameter_value';
  end if;
end $$;

COMMENT ON FUNCTION tallybook.require_slice(rows_max bigint, not_before timestamp with time zone) IS 'Fails where nothing can be covered in slices of such a kind.';

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

CREATE FUNCTION tallybook.seal(since timestamp with time zone, until timestamp with time zone, after timestamp with time zone, rows_max bigint, OUT rows_sealed bigint, OUT go_on_after timestamp with time zone) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET "DateStyle" TO 'ISO'
    SET jit TO 'off'
    SET lock_timeout TO '5s'
    AS $_$
declare
  -- the first day holds what has no time
  or_none constant text := case when since > '0001-01-01 00:00+00' then '' else ' or happened_at is null' end;
  happened constant text := format('%s and (happened_at >= %L%s)', tallybook.happened_in(since, until), coalesce(after, '-infinity'), or_none);
  event_key constant text := case when exists (select from tallybook.source_columns() where source = 'task_usage' and name = 'event_key' and number is not null)
    then tallybook.column_of('u', 'task_usage', 'event_key') || '::text' else '''''' end;
  -- adopted tables may have other names for them
  task_id constant text := tallybook.column_of('t', 'agent_task_queue', 'id');
  agent_id constant text := tallybook.column_of('a', 'agent', 'id');
  issue_id constant text := tallybook.column_of('i', 'issue', 'id');
  agent_of_task constant text := tallybook.column_of('t', 'agent_task_queue', 'agent_id');
  issue_of_task constant text := tallybook.column_of('t', 'agent_task_queue', 'issue_id');
  tasks uuid[];
  agents uuid[];
  issues uuid[];
  reached timestamptz;
  rows_seen bigint;
  kept bigint;
begin
  perform tallybook.lock_sources();
  lock table public.task_usage in row exclusive mode;
  lock table public.agent_task_queue, public.agent, public.issue in row share mode;
  perform tallybook.wait_for_seal_lock();
  perform tallybook.require_sealable(since, until);

  execute format('select count(*), max(happened_at), array_agg(distinct task_id)
    from (select task_id, happened_at from tallybook.usage_rows() where %s order by happened_at limit $1) x', happened)
  into rows_seen, reached, tasks using rows_max;
  -- what decides the keys stays as it is until the transaction ends: else a move that commits meanwhile would be undone by what is sealed. Who
  -- reports holds a lock on the task, too, and has to see what was sealed before.
  execute format('select array(select %1$s from public.agent_task_queue t where %1$s = any ($1) order by %1$s for update skip locked)', task_id)
  into tasks using tasks;
  execute format('select array(
      select %1$s from public.agent a
      where %1$s in (select %2$s from public.agent_task_queue t where %3$s = any ($1)) order by %1$s for share skip locked)', agent_id, agent_of_task, task_id)
  into agents using tasks;
  execute format('select array(
      select %1$s from public.issue i
      where %1$s in (select %2$s from public.agent_task_queue t where %3$s = any ($1)) order by %1$s for share skip locked)', issue_id, issue_of_task, task_id)
  into issues using tasks;
  tasks := array(
    select t.id from tallybook.task_rows() t
    where t.id = any (tasks) and t.agent_id = any (agents)
      and (t.issue_id = any (issues) or not exists (select from tallybook.issue_rows() i where i.id = t.issue_id)));

  execute format($sql$
    with
      chosen as materialized (
        select u.tableoid as relation, u.ctid as place from public.task_usage u
        where %8$s = any ($1) and %1$s
        for update skip locked),
      removed as (
        delete from public.task_usage u using chosen c where u.ctid = c.place and u.tableoid = c.relation and %1$s
        returning %2$s, 1::bigint as event_count, tallybook.identity_digest(%8$s, %9$s::text, %10$s::text, %3$s) as digest),
      identified as (
        insert into tallybook.sealed_identity (digest) select distinct digest from removed on conflict do nothing),
      keyed as (
        select %4$s, a.workspace_id, t.runtime_id, t.agent_id, i.project_id, %5$s, c.cost_usd_ticks, c.event_count
        from removed c
        join tallybook.task_rows() t on t.id = c.task_id
        join tallybook.agent_rows() a on a.id = t.agent_id
        left join tallybook.issue_rows() i on i.id = t.issue_id),
      sealed as (
        insert into tallybook.sealed_usage (bucket_start, workspace_id, runtime_id, agent_id, project_id, provider, model, %6$s)
        select k.bucket_start, k.workspace_id, k.runtime_id, k.agent_id, k.project_id, k.provider, k.model, %7$s
        from keyed k
        group by k.bucket_start, k.workspace_id, k.runtime_id, k.agent_id, k.project_id, k.provider, k.model
        returning event_count)
    select (select count(*) from removed), (select coalesce(sum(event_count), 0) from sealed)$sql$,
    replace(format('%s and (happened_at <= $2%s)', happened, or_none), 'happened_at', tallybook.usage_time('u')),
    tallybook.usage_image('u'),
    event_key,
    tallybook.canonical_key('c'),
    tallybook.each('c.{}', tallybook.token_measures()),
    array_to_string(tallybook.measures(), ', '),
    tallybook.measures_of('k'),
    tallybook.column_of('u', 'task_usage', 'task_id'),
    tallybook.column_of('u', 'task_usage', 'provider'),
    tallybook.column_of('u', 'task_usage', 'model'))
  into rows_sealed, kept using tasks, reached;
  if rows_sealed <> kept then
    raise exception '% rows of usage were to be sealed, and % would have been', rows_sealed, kept using errcode = 'data_corrupted';
  end if;
  go_on_after := case
    when rows_seen < rows_max then null
    -- there may be more of the same time
    when rows_sealed > 0 then coalesce(reached, after, '-infinity')
    -- all that was looked at has to stay: go on behind it
    when reached is not distinct from after then greatest(reached + interval '1 microsecond', '4713-01-01 00:00+00 BC')
    else reached
  end;
end $_$;

COMMENT ON FUNCTION tallybook.seal(since timestamp with time zone, until timestamp with time zone, after timestamp with time zone, rows_max bigint, OUT rows_sealed bigint, OUT go_on_after timestamp with time zone) IS 'Seals usage of whole UTC days, [since, until): of the first rows_max rows from `after` on, those that nobody else is writing. Returns the rows sealed, and where to go on; null where the days are done.';

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

CREATE FUNCTION tallybook.usage_columns(OUT name text, OUT is_present boolean, OUT is_integer boolean, OUT column_name text) RETURNS SETOF record
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    BEGIN ATOMIC
 SELECT wanted.name,
     (c.number IS NOT NULL),
     (COALESCE((c.type = ANY (ARRAY[('smallint'::regtype)::oid, ('integer'::regtype)::oid, ('bigint'::regtype)::oid])), false) AND (NOT tallybook.is_adopted())),
     COALESCE(quote_ident(c.column_name), wanted.name) AS "coalesce"
    FROM (unnest((tallybook.token_measures() || ARRAY['cost_usd_ticks'::text])) WITH ORDINALITY wanted(name, "position")
      JOIN tallybook.source_columns() c(source, name, is_needed, relation, number, column_name, type) ON (((c.source = 'task_usage'::text) AND (c.name = wanted.name))))
   ORDER BY wanted."position";
END;

COMMENT ON FUNCTION tallybook.usage_columns(OUT name text, OUT is_present boolean, OUT is_integer boolean, OUT column_name text) IS 'The measures that a row of public.task_usage may hold, in order. A table that was not made by us may lack some.';

CREATE FUNCTION tallybook.usage_time(row_name text, wanted text DEFAULT 'created_at'::text) RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    RETURN format(CASE WHEN tallybook.is_adopted() THEN 'tallybook.utc(%s)'::text ELSE '%s'::text END, tallybook.column_of(row_name, 'task_usage'::text, wanted));

COMMENT ON FUNCTION tallybook.usage_time(row_name text, wanted text) IS 'SQL: a time of a row of public.task_usage.';

CREATE FUNCTION tallybook.usage_key_image(row_name text) RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    RETURN format('%s as task_id, %s::pg_catalog.text collate pg_catalog."C" as provider, %s::pg_catalog.text collate pg_catalog."C" as model, %s as happened_at'::text, tallybook.column_of(row_name, 'task_usage'::text, 'task_id'::text), tallybook.column_of(row_name, 'task_usage'::text, 'provider'::text), tallybook.column_of(row_name, 'task_usage'::text, 'model'::text), tallybook.usage_time(row_name));

COMMENT ON FUNCTION tallybook.usage_key_image(row_name text) IS 'SQL: the task and the key parts of a row of public.task_usage, as they are written.';

CREATE FUNCTION tallybook.usage_measure_images(row_name text) RETURNS text[]
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    RETURN (SELECT array_agg(CASE WHEN (NOT usage_columns.is_present) THEN CASE usage_columns.name WHEN 'cost_usd_ticks'::text THEN 'null::numeric'::text ELSE '0::numeric'::text END WHEN ((usage_columns.name = 'cost_usd_ticks'::text) AND usage_columns.is_integer) THEN format('%s.%s::numeric'::text, usage_measure_images.row_name, usage_columns.column_name) WHEN (usage_columns.name = 'cost_usd_ticks'::text) THEN format('case when %1$s.%2$s is not null then tallybook.finite(%1$s.%2$s) end'::text, usage_measure_images.row_name, usage_columns.column_name) WHEN usage_columns.is_integer THEN format('coalesce(%s.%s, 0)::numeric'::text, usage_measure_images.row_name, usage_columns.column_name) ELSE format('tallybook.finite(%s.%s)'::text, usage_measure_images.row_name, usage_columns.column_name) END) AS array_agg FROM tallybook.usage_columns() usage_columns(name, is_present, is_integer, column_name));

COMMENT ON FUNCTION tallybook.usage_measure_images(row_name text) IS 'SQL: each measure of a row of public.task_usage. A null cost stays null: no provider named one.';

CREATE FUNCTION tallybook.signed_usage_image(row_name text, sign integer) RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    RETURN ((((tallybook.usage_key_image(row_name) || ', '::text) || tallybook.each(CASE sign WHEN 1 THEN '{}'::text ELSE 'operator(pg_catalog.-) {}'::text END, tallybook.usage_measure_images(row_name))) || ', '::text) || sign);

COMMENT ON FUNCTION tallybook.signed_usage_image(row_name text, sign integer) IS 'SQL: what usage_change is to hold of a row that came (1) or went (-1).';

CREATE FUNCTION tallybook.slice_before(until timestamp with time zone, rows_max bigint) RETURNS timestamp with time zone
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  since timestamptz;
begin
  select date_trunc('day', tallybook.bucket(max(at)), 'UTC') into since
  from (
    (select happened_at from tallybook.usage_rows() where happened_at < until order by happened_at desc offset rows_max limit 1)
    union all
    (select bucket_start from tallybook.sealed_usage where bucket_start < until order by bucket_start desc offset rows_max limit 1)) x (at)
  having max(at) is not null;
  return case when since < until then since else '-infinity' end;
end $$;

COMMENT ON FUNCTION tallybook.slice_before(until timestamp with time zone, rows_max bigint) IS 'Where the whole UTC days begin that lie before a day and hold so many rows of raw or of sealed usage; -infinity when there are no more.';

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

CREATE FUNCTION tallybook.slice_start(until timestamp with time zone, not_before timestamp with time zone, rows_max bigint) RETURNS timestamp with time zone
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    RETURN GREATEST(tallybook.slice_before(until, rows_max), not_before, (SELECT max(rollup.covered_from) AS max FROM tallybook.rollup WHERE (rollup.covered_from < slice_start.until)));

COMMENT ON FUNCTION tallybook.slice_start(until timestamp with time zone, not_before timestamp with time zone, rows_max bigint) IS 'Where a slice of backfill begins that ends at a day: it holds whole days, ends at not_before, and not beyond the coverage of the next rollup.';

CREATE FUNCTION tallybook.source_changes() RETURNS SETOF text
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    BEGIN ATOMIC
 SELECT
         CASE
             WHEN ((c.number IS NULL) AND (s.number IS NULL)) THEN NULL::text
             WHEN (c.number IS NULL) THEN format('public.%s has no column %s any more'::text, c.source, s.column_name)
             WHEN (s.number IS NULL) THEN format('public.%s has a column %s now'::text, c.source, c.column_name)
             WHEN (c.column_name <> s.column_name) THEN format('column %s of public.%s is called %s now'::text, s.column_name, c.source, c.column_name)
             WHEN ((c.relation = s.relation) AND (c.number <> s.number)) THEN format('column %s of public.%s is another one now'::text, c.column_name, c.source)
             ELSE NULL::text
         END AS change
    FROM (tallybook.source_columns() c(source, name, is_needed, relation, number, column_name, type)
      LEFT JOIN tallybook.source_column s ON (((s.source = c.source) AND (s.name = c.name))))
   WHERE (tallybook.is_adopted() AND ((c.number IS DISTINCT FROM s.number) OR (c.column_name IS DISTINCT FROM s.column_name)) AND ((c.column_name IS DISTINCT FROM s.column_name) OR (c.relation = s.relation)))
   ORDER BY
         CASE
             WHEN ((c.number IS NULL) AND (s.number IS NULL)) THEN NULL::text
             WHEN (c.number IS NULL) THEN format('public.%s has no column %s any more'::text, c.source, s.column_name)
             WHEN (s.number IS NULL) THEN format('public.%s has a column %s now'::text, c.source, c.column_name)
             WHEN (c.column_name <> s.column_name) THEN format('column %s of public.%s is called %s now'::text, s.column_name, c.source, c.column_name)
             WHEN ((c.relation = s.relation) AND (c.number <> s.number)) THEN format('column %s of public.%s is another one now'::text, c.column_name, c.source)
             ELSE NULL::text
         END;
END;

COMMENT ON FUNCTION tallybook.source_changes() IS 'How the columns of adopted tables differ from those that are captured.';

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

CREATE FUNCTION tallybook.task_rows() RETURNS TABLE(id uuid, agent_id uuid, runtime_id uuid, issue_id uuid)
    LANGUAGE sql STABLE
    AS $$ select r.id, r.agent_id, r.runtime_id, r.issue_id from public.agent_task_queue r $$;

COMMENT ON FUNCTION tallybook.task_rows() IS 'The rows of public.agent_task_queue, as far as they matter.';

CREATE FUNCTION tallybook.task_usage_rollup_lag_seconds() RETURNS double precision
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    BEGIN ATOMIC
 SELECT
         CASE
             WHEN (fold_state.last_run_finished_at IS NOT NULL) THEN (GREATEST((0)::numeric, COALESCE(EXTRACT(epoch FROM (clock_timestamp() - ( SELECT backlog.oldest
                FROM tallybook.backlog() backlog(usage_rows, task_rows, agent_rows, issue_rows, sealed_rows, oldest)))), (0)::numeric)))::double precision
             ELSE NULL::double precision
         END AS "case"
    FROM tallybook.fold_state;
END;

COMMENT ON FUNCTION tallybook.task_usage_rollup_lag_seconds() IS 'Age, in seconds, of the oldest change row that is not folded; 0 when there is none, null before the first tick. Reads are exact all the same.';

CREATE FUNCTION tallybook.tasks_complete_from() RETURNS timestamp with time zone
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    BEGIN ATOMIC
 SELECT (date_trunc('day'::text, max(sealed_usage.bucket_start), 'UTC'::text) + '24:00:00'::interval)
    FROM tallybook.sealed_usage;
END;

COMMENT ON FUNCTION tallybook.tasks_complete_from() IS 'From when on usage is known by its task and issue: the end of the last UTC day of which some is sealed. Null: all is.';

CREATE FUNCTION tallybook.thin(since timestamp with time zone, until timestamp with time zone, OUT rows_removed bigint, OUT rows_written bigint) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET jit TO 'off'
    SET lock_timeout TO '5s'
    AS $$
begin
  perform tallybook.lock_sources();
  lock table tallybook.sealed_usage in row exclusive mode;
  perform tallybook.wait_for_seal_lock();
  perform tallybook.require_sealable(since, until);
  if not exists (select from tallybook.sealed_usage s where s.bucket_start >= since and s.bucket_start < until and not s.is_thinned) then
    rows_removed := 0;
    rows_written := 0;
    return;
  end if;
  with
    removed as (
      delete from tallybook.sealed_usage s where s.bucket_start >= since and s.bucket_start < until returning *),
    thinned as (
      insert into tallybook.sealed_usage (bucket_start, workspace_id, runtime_id, agent_id, project_id, provider, model,
        input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, cost_usd_ticks,
        uncosted_input_tokens, uncosted_output_tokens, uncosted_cache_read_tokens, uncosted_cache_write_tokens,
        uncosted_cache_write_1h_tokens, event_count, is_thinned)
      select date_trunc('day', r.bucket_start, 'UTC'), r.workspace_id, r.runtime_id, r.agent_id, r.project_id, r.provider, r.model,
        sum(r.input_tokens), sum(r.output_tokens), sum(r.cache_read_tokens), sum(r.cache_write_tokens),
        sum(r.cache_write_1h_tokens), sum(r.cost_usd_ticks), sum(r.uncosted_input_tokens),
        sum(r.uncosted_output_tokens), sum(r.uncosted_cache_read_tokens), sum(r.uncosted_cache_write_tokens),
        sum(r.uncosted_cache_write_1h_tokens), sum(r.event_count), true
      from removed r
      group by date_trunc('day', r.bucket_start, 'UTC'), r.workspace_id, r.runtime_id, r.agent_id, r.project_id, r.provider, r.model
      returning 1)
  select (select count(*) from removed), (select count(*) from thinned) into rows_removed, rows_written;
end $$;

COMMENT ON FUNCTION tallybook.thin(since timestamp with time zone, until timestamp with time zone, OUT rows_removed bigint, OUT rows_written bigint) IS 'Makes one row a UTC day and key of the sealed usage of whole UTC days, [since, until). Their quarter hours are lost; days, agents and projects stay.';

CREATE FUNCTION tallybook.token_access(shown bytea, at timestamp with time zone, OUT id uuid, OUT workspace_id uuid, OUT scopes text[]) RETURNS SETOF record
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  return query
    select t.id, t.workspace_id, t.scopes from tallybook.access_token t
    where t.digest = shown and t.revoked_at is null and (t.expires_at is null or t.expires_at > at);
end $$;

COMMENT ON FUNCTION tallybook.token_access(shown bytea, at timestamp with time zone, OUT id uuid, OUT workspace_id uuid, OUT scopes text[]) IS 'What the bearer of the token with this digest may do; no row when it is unknown, expired or revoked. Who may call it sees no digest.';

CREATE FUNCTION tallybook.uncover() RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  r record;
begin
  for r in select name from tallybook.rollup for update loop
    execute format('delete from tallybook.%I', r.name);
    update tallybook.rollup set covered_from = 'infinity', reads_raw = true where name = r.name;
    perform tallybook.define_now_view(r.name);
  end loop;
end $$;

COMMENT ON FUNCTION tallybook.uncover() IS 'Has all days read from raw, until backfill covers them again. The caller holds the fold lock.';

CREATE FUNCTION tallybook.usage_difference(insert_images text) RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    RETURN (SELECT format('if %1$s then
          -- both images share a key: their difference; nothing where nothing changed
          if not (%2$s) then
            %3$s select %4$s, %5$s, 0;
          end if;
        else
          %3$s select %6$s union all select %7$s;
        end if;'::text, (tallybook.each('new.{} operator(pg_catalog.=) old.{}'::text, ARRAY['task_id'::text, 'provider::pg_catalog.text collate pg_catalog."C"'::text, 'model::pg_catalog.text collate pg_catalog."C"'::text, 'created_at'::text], ' and '::text) || COALESCE(string_agg(format(' and (new.%1$s is null) operator(pg_catalog.=) (old.%1$s is null)'::text, usage_columns.name), ''::text) FILTER (WHERE (usage_columns.name = 'cost_usd_ticks'::text)), ''::text)), string_agg(format('coalesce(new.%1$s, 0) operator(pg_catalog.=) coalesce(old.%1$s, 0)'::text, usage_columns.name), ' and '::text), usage_difference.insert_images, tallybook.usage_key_image('new'::text), (SELECT string_agg(((measure.after || ' operator(pg_catalog.-) '::text) || measure.before), ', '::text) AS string_agg FROM UNNEST(tallybook.usage_measure_images('new'::text), tallybook.usage_measure_images('old'::text)) measure(after, before)), tallybook.signed_usage_image('old'::text, '-1'::integer), tallybook.signed_usage_image('new'::text, 1)) AS format FROM tallybook.usage_columns() usage_columns(name, is_present, is_integer, column_name) WHERE usage_columns.is_present);

COMMENT ON FUNCTION tallybook.usage_difference(insert_images text) IS 'PL/pgSQL: logs how one row of usage changed.';

CREATE FUNCTION tallybook.usage_differences() RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    RETURN (SELECT format('
        -- both images of every row, summed where they share a key; nothing where nothing changed
        select i.task_id, i.provider, i.model, i.happened_at, %1$s, pg_catalog.sum(i.sign)
        from (
          select 1 as sign, %2$s, %3$s from new_rows r
          union all select -1, %2$s, %4$s from old_rows r) i
        group by i.task_id, i.provider, i.model, i.happened_at, i.cost_usd_ticks is null
        having pg_catalog.sum(i.sign) operator(pg_catalog.<>) 0 or %5$s;'::text, string_agg(m.total, ', '::text ORDER BY m."position"), tallybook.usage_key_image('r'::text), string_agg(((m.image || ' as '::text) || m.name), ', '::text ORDER BY m."position"), string_agg(m.removed, ', '::text ORDER BY m."position"), string_agg((m.total || ' operator(pg_catalog.<>) 0'::text), ' or '::text)) AS format FROM (SELECT measure."position", measure.name, v.value AS image, (CASE WHEN measure.is_integer THEN '-1 operator(pg_catalog.-) '::text ELSE 'operator(pg_catalog.-) '::text END || v.value) AS removed, CASE WHEN measure.is_integer THEN format('(pg_catalog.sum(i.%s) operator(pg_catalog.+) pg_catalog.count(*) filter (where i.sign operator(pg_catalog.<) 0))'::text, measure.name) ELSE format('pg_catalog.sum(i.%s)'::text, measure.name) END AS total FROM (ROWS FROM(unnest(tallybook.usage_measure_images('r'::text)), tallybook.usage_columns()) WITH ORDINALITY measure(numeric_image, name, is_present, is_integer, column_name, "position") CROSS JOIN LATERAL (SELECT CASE WHEN (NOT measure.is_integer) THEN measure.numeric_image WHEN (measure.name = 'cost_usd_ticks'::text) THEN ('r.'::text || measure.column_name) ELSE format('coalesce(r.%s, 0)'::text, measure.column_name) END AS format) v(value))) m);

COMMENT ON FUNCTION tallybook.usage_differences() IS 'SQL: how the rows of usage changed that a statement updated.';

CREATE FUNCTION tallybook.usage_image(row_name text) RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    RETURN (SELECT ((tallybook.usage_key_image(usage_image.row_name) || ', '::text) || string_agg(((measure.image || ' as '::text) || measure.name), ', '::text)) FROM ROWS FROM(unnest(tallybook.usage_measure_images(usage_image.row_name)), tallybook.usage_columns()) measure(image, name, is_present, is_integer, column_name));

COMMENT ON FUNCTION tallybook.usage_image(row_name text) IS 'SQL: task, key parts and measures of a row of public.task_usage.';

CREATE FUNCTION tallybook.usage_rows() RETURNS TABLE(task_id uuid, provider text, model text, happened_at timestamp with time zone, input_tokens numeric, output_tokens numeric, cache_read_tokens numeric, cache_write_tokens numeric, cache_write_1h_tokens numeric, cost_usd_ticks numeric)
    LANGUAGE sql STABLE
    AS $$ select r.task_id as task_id, r.provider::pg_catalog.text collate pg_catalog."C" as provider, r.model::pg_catalog.text collate pg_catalog."C" as model, r.created_at as happened_at, coalesce(r.input_tokens, 0)::numeric as input_tokens, coalesce(r.output_tokens, 0)::numeric as output_tokens, coalesce(r.cache_read_tokens, 0)::numeric as cache_read_tokens, coalesce(r.cache_write_tokens, 0)::numeric as cache_write_tokens, coalesce(r.cache_write_1h_tokens, 0)::numeric as cache_write_1h_tokens, r.cost_usd_ticks::numeric as cost_usd_ticks from public.task_usage r $$;

COMMENT ON FUNCTION tallybook.usage_rows() IS 'The rows of public.task_usage, as far as they matter.';

CREATE FUNCTION tallybook.utc(happened_at date) RETURNS timestamp with time zone
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN timezone('UTC'::text, (happened_at)::timestamp without time zone);

COMMENT ON FUNCTION tallybook.utc(happened_at date) IS 'The same of a date: it begins in UTC.';

CREATE FUNCTION tallybook.utc(happened_at timestamp without time zone) RETURNS timestamp with time zone
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN timezone('UTC'::text, happened_at);

COMMENT ON FUNCTION tallybook.utc(happened_at timestamp without time zone) IS 'The same of a time without zone: it is UTC.';

CREATE FUNCTION tallybook.utc(happened_at timestamp with time zone) RETURNS timestamp with time zone
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN happened_at;

COMMENT ON FUNCTION tallybook.utc(happened_at timestamp with time zone) IS 'A time of an adopted table.';

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

CREATE FUNCTION tallybook.wait_for_seal_lock() RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET lock_timeout TO '30s'
    AS $$
begin
  perform pg_advisory_xact_lock((1399157100::bigint << 32) | 'tallybook'::regnamespace::oid::bigint);
exception when lock_not_available then
  raise exception 'somebody else seals or purges usage' using errcode = 'lock_not_available', hint = 'Try again later.';
end $$;

COMMENT ON FUNCTION tallybook.wait_for_seal_lock() IS 'Takes the lock that every writer of sealed usage holds, to the end of the transaction, waiting for at most 30 seconds.';

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
    agent_id uuid,
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

CREATE TABLE tallybook.audit_log (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    occurred_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    via text NOT NULL,
    role text DEFAULT (SESSION_USER)::text NOT NULL,
    token_id uuid,
    token_name text,
    request_id text,
    action text NOT NULL,
    workspace_id uuid,
    target text NOT NULL,
    details jsonb DEFAULT '{}'::jsonb NOT NULL,
    CONSTRAINT audit_log_action_check CHECK ((action ~ '^[a-z]+[.][a-z_]+$'::text)),
    CONSTRAINT audit_log_details_check CHECK ((jsonb_typeof(details) = 'object'::text)),
    CONSTRAINT audit_log_via_check CHECK ((via = ANY (ARRAY['http'::text, 'cli'::text, 'service'::text, 'database'::text])))
);

ALTER TABLE ONLY tallybook.audit_log REPLICA IDENTITY FULL;

COMMENT ON TABLE tallybook.audit_log IS 'Who did what cannot be undone, or decides who may do what. Only added to.';

COMMENT ON COLUMN tallybook.audit_log.via IS 'On which way: a request, a command, the service by itself, or a statement of anybody''s.';

COMMENT ON COLUMN tallybook.audit_log.role IS 'The role that the session had logged in as.';

COMMENT ON COLUMN tallybook.audit_log.token_id IS 'The token of the request.';

COMMENT ON COLUMN tallybook.audit_log.token_name IS 'Its name at that time.';

COMMENT ON COLUMN tallybook.audit_log.request_id IS 'What the log of the service calls the request.';

COMMENT ON COLUMN tallybook.audit_log.action IS 'What was done, such as token.create.';

COMMENT ON COLUMN tallybook.audit_log.workspace_id IS 'The workspace that it was done to; null where it concerns all.';

COMMENT ON COLUMN tallybook.audit_log.target IS 'What it was done to.';

COMMENT ON COLUMN tallybook.audit_log.details IS 'What else is worth knowing. No secrets.';

CREATE TABLE tallybook.backfill_state (
    singleton boolean DEFAULT true NOT NULL,
    slices bigint DEFAULT 0 NOT NULL,
    raw_rows bigint DEFAULT 0 NOT NULL,
    last_slice_started_at timestamp with time zone,
    last_slice_finished_at timestamp with time zone,
    recent_rows numeric DEFAULT 0 NOT NULL,
    recent_busy interval DEFAULT '00:00:00'::interval NOT NULL,
    recent_elapsed interval DEFAULT '00:00:00'::interval NOT NULL,
    CONSTRAINT backfill_state_singleton_check CHECK (singleton)
);

ALTER TABLE ONLY tallybook.backfill_state REPLICA IDENTITY FULL;

COMMENT ON TABLE tallybook.backfill_state IS 'What backfill has done, and its pace: one row, written in the transaction of each slice.';

COMMENT ON COLUMN tallybook.backfill_state.slices IS 'Slices covered since installation.';

COMMENT ON COLUMN tallybook.backfill_state.raw_rows IS 'Raw rows that they held.';

COMMENT ON COLUMN tallybook.backfill_state.recent_rows IS 'Raw rows of the last slices: a slice counts with three quarters of the next one''s weight. So do the two times.';

COMMENT ON COLUMN tallybook.backfill_state.recent_busy IS 'How long those slices took.';

COMMENT ON COLUMN tallybook.backfill_state.recent_elapsed IS 'The same with the pauses between them.';

CREATE VIEW tallybook.backfill_progress AS
 SELECT r.name AS rollup,
    r.covered_from,
    (r.covered_from = '-infinity'::timestamp with time zone) AS is_covered,
    l.raw_rows AS raw_rows_left,
    l.is_estimate,
    s.rows_per_second,
    make_interval(secs => (((l.raw_rows)::numeric / NULLIF(s.rows_per_second, (0)::numeric)))::double precision) AS time_left,
    s.last_slice_finished_at
   FROM ((tallybook.rollup r
     CROSS JOIN LATERAL tallybook.raw_rows_before(r.covered_from) l(raw_rows, is_estimate))
     CROSS JOIN ( SELECT backfill_state.last_slice_finished_at,
            round((backfill_state.recent_rows / NULLIF(EXTRACT(epoch FROM backfill_state.recent_elapsed), (0)::numeric)), 1) AS rows_per_second
           FROM tallybook.backfill_state) s);

COMMENT ON VIEW tallybook.backfill_progress IS 'How far backfill is, for each rollup. Reads are exact all the same: days that are not covered are read from raw.';

COMMENT ON COLUMN tallybook.backfill_progress.raw_rows_left IS 'Raw rows on days that are not covered.';

COMMENT ON COLUMN tallybook.backfill_progress.is_estimate IS 'Whether they were too many to count, and the planner was asked.';

COMMENT ON COLUMN tallybook.backfill_progress.rows_per_second IS 'The pace of the last slices, with the pauses between them. None before the first.';

COMMENT ON COLUMN tallybook.backfill_progress.time_left IS 'How long it takes at that pace.';

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

CREATE TABLE tallybook.entity_mark (
    kind text NOT NULL,
    id uuid NOT NULL,
    labels jsonb DEFAULT '{}'::jsonb NOT NULL,
    archived_at timestamp with time zone,
    CONSTRAINT entity_mark_kind_check CHECK ((kind = ANY (ARRAY['workspace'::text, 'runtime'::text, 'agent'::text, 'project'::text, 'issue'::text, 'task'::text]))),
    CONSTRAINT entity_mark_labels_check CHECK ((jsonb_typeof(labels) = 'object'::text))
);

ALTER TABLE ONLY tallybook.entity_mark REPLICA IDENTITY FULL;

COMMENT ON TABLE tallybook.entity_mark IS 'Labels and archive marks of entities whose own tables have no column for them. No foreign key: that would put a trigger on the host''s table.';

COMMENT ON COLUMN tallybook.entity_mark.kind IS 'What the id is of.';

COMMENT ON COLUMN tallybook.entity_mark.id IS 'The entity; a mark of one that is gone says nothing to anybody.';

COMMENT ON COLUMN tallybook.entity_mark.labels IS 'What else it is found by.';

COMMENT ON COLUMN tallybook.entity_mark.archived_at IS 'When it was archived; null while it is in use.';

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
    issue_id uuid,
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

CREATE TABLE tallybook.moving_state (
    singleton boolean DEFAULT true NOT NULL,
    begun_at timestamp with time zone,
    switched_at timestamp with time zone,
    cron_database text,
    disabled_jobs jsonb DEFAULT '[]'::jsonb NOT NULL,
    has_own_job boolean DEFAULT false NOT NULL,
    CONSTRAINT moving_state_disabled_jobs_check CHECK ((jsonb_typeof(disabled_jobs) = 'array'::text)),
    CONSTRAINT moving_state_singleton_check CHECK (singleton)
);

ALTER TABLE ONLY tallybook.moving_state REPLICA IDENTITY FULL;

COMMENT ON TABLE tallybook.moving_state IS 'How far the move from the usual design is: one row. What it disabled is kept here until it is enabled again.';

COMMENT ON COLUMN tallybook.moving_state.begun_at IS 'When the switch was begun; null when the usual design is in charge, or is not there.';

COMMENT ON COLUMN tallybook.moving_state.switched_at IS 'When it was done.';

COMMENT ON COLUMN tallybook.moving_state.cron_database IS 'The database whose pg_cron ran the old jobs; null where none did.';

COMMENT ON COLUMN tallybook.moving_state.disabled_jobs IS 'The old jobs that are disabled: their job_id, name, schedule and command.';

COMMENT ON COLUMN tallybook.moving_state.has_own_job IS 'Whether a job of ours was scheduled in their place.';

CREATE TABLE tallybook.sealed_change (
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
    event_count bigint NOT NULL,
    xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    captured_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='10000', autovacuum_vacuum_insert_threshold='-1', autovacuum_analyze_scale_factor='0', autovacuum_analyze_threshold='50000');

ALTER TABLE ONLY tallybook.sealed_change REPLICA IDENTITY FULL;

COMMENT ON TABLE tallybook.sealed_change IS 'Signed sums of sealed usage that are not folded yet. Their keys are final.';

COMMENT ON COLUMN tallybook.sealed_change.xid IS 'The transaction that wrote the row.';

COMMENT ON COLUMN tallybook.sealed_change.captured_at IS 'When it was written, by the database''s clock.';

CREATE TABLE tallybook.sealed_identity (
    digest uuid NOT NULL
);

ALTER TABLE ONLY tallybook.sealed_identity REPLICA IDENTITY FULL;

COMMENT ON TABLE tallybook.sealed_identity IS 'Which usage was sealed, so that it does not count again when it is reported again: a digest of each identity, for good.';

COMMENT ON COLUMN tallybook.sealed_identity.digest IS 'See tallybook.identity_digest.';

CREATE TABLE tallybook.source_file (
    source text NOT NULL,
    file oid NOT NULL
);

ALTER TABLE ONLY tallybook.source_file REPLICA IDENTITY FULL;

COMMENT ON TABLE tallybook.source_file IS 'The source tables, their partitions, and in which files they lay when it was looked last: what was rewritten, attached or detached since went past the triggers.';

COMMENT ON COLUMN tallybook.source_file.source IS 'The table, or a partition of it.';

COMMENT ON COLUMN tallybook.source_file.file IS 'Its file node; 0 where only its partitions have some.';

CREATE TABLE tallybook.task_change (
    task_id uuid,
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
           FROM tallybook.backlog() backlog(usage_rows, task_rows, agent_rows, issue_rows, sealed_rows, oldest)) AS enqueued_at
   FROM tallybook.pending() p(bucket_start, workspace_id, runtime_id, agent_id, project_id, provider, model, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, cost_usd_ticks, uncosted_input_tokens, uncosted_output_tokens, uncosted_cache_read_tokens, uncosted_cache_write_tokens, uncosted_cache_write_1h_tokens, event_count)
  GROUP BY (((p.bucket_start AT TIME ZONE 'UTC'::text))::date), p.workspace_id, p.runtime_id, p.provider, p.model;

COMMENT ON VIEW tallybook.task_usage_daily_dirty IS 'Daily keys with something pending. enqueued_at is when the oldest of all change rows was captured: a bound.';

CREATE VIEW tallybook.task_usage_daily_now AS
 WITH p AS MATERIALIZED (
         SELECT ((pending.bucket_start AT TIME ZONE 'UTC'::text))::date AS bucket_date,
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
          WHERE tallybook.is_covered('task_usage_daily'::text)
        )
 SELECT task_usage_daily.bucket_date,
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
  WHERE (NOT (task_usage_daily.bucket_date IN ( SELECT p.bucket_date
           FROM p)))
UNION ALL
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
   FROM ( SELECT p.bucket_date,
            p.workspace_id,
            p.runtime_id,
            p.provider,
            p.model,
            p.input_tokens,
            p.output_tokens,
            p.cache_read_tokens,
            p.cache_write_tokens,
            p.cache_write_1h_tokens,
            p.cost_usd_ticks,
            p.uncosted_input_tokens,
            p.uncosted_output_tokens,
            p.uncosted_cache_read_tokens,
            p.uncosted_cache_write_tokens,
            p.uncosted_cache_write_1h_tokens,
            p.event_count
           FROM p
        UNION ALL
         SELECT task_usage_daily.bucket_date,
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
          WHERE ((EXISTS ( SELECT
                   FROM p)) AND ((task_usage_daily.bucket_date IN ( SELECT p.bucket_date
                   FROM p)) IS TRUE))) s
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
 WITH p AS MATERIALIZED (
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
          WHERE tallybook.is_covered('task_usage_quarter_hour'::text)
        )
 SELECT task_usage_quarter_hour.bucket_start,
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
  WHERE (NOT (task_usage_quarter_hour.bucket_start IN ( SELECT p.bucket_start
           FROM p)))
UNION ALL
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
   FROM ( SELECT p.bucket_start,
            p.workspace_id,
            p.runtime_id,
            p.agent_id,
            p.project_id,
            p.provider,
            p.model,
            p.input_tokens,
            p.output_tokens,
            p.cache_read_tokens,
            p.cache_write_tokens,
            p.cache_write_1h_tokens,
            p.cost_usd_ticks,
            p.uncosted_input_tokens,
            p.uncosted_output_tokens,
            p.uncosted_cache_read_tokens,
            p.uncosted_cache_write_tokens,
            p.uncosted_cache_write_1h_tokens,
            p.event_count
           FROM p
        UNION ALL
         SELECT task_usage_quarter_hour.bucket_start,
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
          WHERE ((EXISTS ( SELECT
                   FROM p)) AND ((task_usage_quarter_hour.bucket_start IN ( SELECT p.bucket_start
                   FROM p)) IS TRUE))) s
  GROUP BY s.bucket_start, s.workspace_id, s.runtime_id, s.agent_id, s.project_id, s.provider, s.model
 HAVING ((sum(s.input_tokens) <> (0)::numeric) OR (sum(s.output_tokens) <> (0)::numeric) OR (sum(s.cache_read_tokens) <> (0)::numeric) OR (sum(s.cache_write_tokens) <> (0)::numeric) OR (sum(s.cache_write_1h_tokens) <> (0)::numeric) OR (sum(s.cost_usd_ticks) <> (0)::numeric) OR (sum(s.uncosted_input_tokens) <> (0)::numeric) OR (sum(s.uncosted_output_tokens) <> (0)::numeric) OR (sum(s.uncosted_cache_read_tokens) <> (0)::numeric) OR (sum(s.uncosted_cache_write_tokens) <> (0)::numeric) OR (sum(s.uncosted_cache_write_1h_tokens) <> (0)::numeric) OR (sum(s.event_count) <> (0)::numeric));

COMMENT ON VIEW tallybook.task_usage_quarter_hour_now IS 'Always exactly the sums of raw usage. Tokens are counts; cost_usd_ticks is in 1e-10 USD.';

CREATE VIEW tallybook.task_usage_rollup_state AS
 SELECT COALESCE(( SELECT backlog.oldest
           FROM tallybook.backlog() backlog(usage_rows, task_rows, agent_rows, issue_rows, sealed_rows, oldest)), now()) AS watermark_at,
    fold_state.last_run_started_at,
    fold_state.last_run_finished_at,
    fold_state.last_run_rows,
    fold_state.last_error,
    1 AS id
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

ALTER TABLE ONLY tallybook.audit_log
    ADD CONSTRAINT audit_log_pkey PRIMARY KEY (id);

ALTER TABLE ONLY tallybook.backfill_state
    ADD CONSTRAINT backfill_state_pkey PRIMARY KEY (singleton);

ALTER TABLE ONLY tallybook.drift
    ADD CONSTRAINT drift_pkey PRIMARY KEY (rollup, day);

ALTER TABLE ONLY tallybook.entity_mark
    ADD CONSTRAINT entity_mark_pkey PRIMARY KEY (kind, id);

ALTER TABLE ONLY tallybook.fold_mark
    ADD CONSTRAINT fold_mark_pkey PRIMARY KEY (id);

ALTER TABLE ONLY tallybook.fold_state
    ADD CONSTRAINT fold_state_pkey PRIMARY KEY (singleton);

ALTER TABLE ONLY tallybook.installation
    ADD CONSTRAINT installation_pkey PRIMARY KEY (singleton);

ALTER TABLE ONLY tallybook.moving_state
    ADD CONSTRAINT moving_state_pkey PRIMARY KEY (singleton);

ALTER TABLE ONLY tallybook.rollup
    ADD CONSTRAINT rollup_pkey PRIMARY KEY (name);

ALTER TABLE ONLY tallybook.sealed_identity
    ADD CONSTRAINT sealed_identity_pkey PRIMARY KEY (digest);

ALTER TABLE ONLY tallybook.source_column
    ADD CONSTRAINT source_column_pkey PRIMARY KEY (source, name);

ALTER TABLE ONLY tallybook.source_file
    ADD CONSTRAINT source_file_pkey PRIMARY KEY (source);

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

CREATE INDEX audit_log_occurred_at ON tallybook.audit_log USING btree (occurred_at, id);

CREATE INDEX capture_break_xid ON tallybook.capture_break USING btree (xid);

CREATE INDEX issue_change_xid ON tallybook.issue_change USING btree (xid);

CREATE INDEX sealed_change_xid ON tallybook.sealed_change USING btree (xid);

CREATE INDEX sealed_usage_agent ON tallybook.sealed_usage USING btree (agent_id);

CREATE INDEX sealed_usage_bucket ON tallybook.sealed_usage USING btree (bucket_start);

CREATE INDEX sealed_usage_project ON tallybook.sealed_usage USING btree (project_id) WHERE (project_id IS NOT NULL);

CREATE INDEX sealed_usage_runtime ON tallybook.sealed_usage USING btree (runtime_id) WHERE (runtime_id IS NOT NULL);

CREATE INDEX sealed_usage_thinned ON tallybook.sealed_usage USING btree (bucket_start) WHERE is_thinned;

CREATE INDEX sealed_usage_workspace ON tallybook.sealed_usage USING btree (workspace_id);

CREATE INDEX task_change_xid ON tallybook.task_change USING btree (xid);

CREATE INDEX task_usage_daily_bucket ON tallybook.task_usage_daily USING brin (bucket_date) WITH (pages_per_range='32');

CREATE UNIQUE INDEX task_usage_daily_key ON tallybook.task_usage_daily USING btree (workspace_id, bucket_date, runtime_id, provider, model) NULLS NOT DISTINCT;

CREATE INDEX task_usage_daily_second ON tallybook.task_usage_daily USING btree (runtime_id, bucket_date);

CREATE INDEX task_usage_quarter_hour_bucket ON tallybook.task_usage_quarter_hour USING brin (bucket_start) WITH (pages_per_range='32');

CREATE UNIQUE INDEX task_usage_quarter_hour_key ON tallybook.task_usage_quarter_hour USING btree (workspace_id, bucket_start, runtime_id, agent_id, project_id, provider, model) NULLS NOT DISTINCT;

CREATE INDEX task_usage_quarter_hour_second ON tallybook.task_usage_quarter_hour USING btree (runtime_id, bucket_start);

CREATE INDEX usage_change_xid ON tallybook.usage_change USING btree (xid);

CREATE TRIGGER tallybook_delete AFTER DELETE ON public.agent REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION tallybook.capture_agent();

CREATE TRIGGER tallybook_delete AFTER DELETE ON public.agent_task_queue REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION tallybook.capture_task();

CREATE TRIGGER tallybook_delete AFTER DELETE ON public.issue REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION tallybook.capture_issue();

CREATE TRIGGER tallybook_delete AFTER DELETE ON public.task_usage REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION tallybook.capture_usage_delete();

CREATE TRIGGER tallybook_insert AFTER INSERT ON public.agent FOR EACH ROW EXECUTE FUNCTION tallybook.capture_agent();

CREATE TRIGGER tallybook_insert AFTER INSERT ON public.agent_task_queue FOR EACH ROW EXECUTE FUNCTION tallybook.capture_task();

CREATE TRIGGER tallybook_insert AFTER INSERT ON public.issue FOR EACH ROW EXECUTE FUNCTION tallybook.capture_issue();

CREATE TRIGGER tallybook_insert AFTER INSERT ON public.task_usage REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION tallybook.capture_usage_insert();

CREATE TRIGGER tallybook_truncate BEFORE TRUNCATE ON public.agent FOR EACH STATEMENT EXECUTE FUNCTION tallybook.refuse_truncate();

CREATE TRIGGER tallybook_truncate BEFORE TRUNCATE ON public.agent_task_queue FOR EACH STATEMENT EXECUTE FUNCTION tallybook.refuse_truncate();

CREATE TRIGGER tallybook_truncate BEFORE TRUNCATE ON public.issue FOR EACH STATEMENT EXECUTE FUNCTION tallybook.refuse_truncate();

CREATE TRIGGER tallybook_truncate BEFORE TRUNCATE ON public.task_usage FOR EACH STATEMENT EXECUTE FUNCTION tallybook.refuse_truncate();

CREATE TRIGGER tallybook_update AFTER UPDATE ON public.agent FOR EACH ROW WHEN (((old.id IS DISTINCT FROM new.id) OR (old.workspace_id IS DISTINCT FROM new.workspace_id))) EXECUTE FUNCTION tallybook.capture_agent();

CREATE TRIGGER tallybook_update AFTER UPDATE ON public.agent_task_queue FOR EACH ROW WHEN (((old.id IS DISTINCT FROM new.id) OR (old.runtime_id IS DISTINCT FROM new.runtime_id) OR (old.agent_id IS DISTINCT FROM new.agent_id) OR (old.issue_id IS DISTINCT FROM new.issue_id))) EXECUTE FUNCTION tallybook.capture_task();

CREATE TRIGGER tallybook_update AFTER UPDATE ON public.issue FOR EACH ROW WHEN (((old.id IS DISTINCT FROM new.id) OR (old.project_id IS DISTINCT FROM new.project_id))) EXECUTE FUNCTION tallybook.capture_issue();

CREATE TRIGGER tallybook_update AFTER UPDATE ON public.task_usage REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION tallybook.capture_usage_update();

CREATE TRIGGER audit_rollup AFTER INSERT OR DELETE ON tallybook.rollup FOR EACH ROW EXECUTE FUNCTION tallybook.audit_rollup();

CREATE TRIGGER refuse_change BEFORE DELETE OR UPDATE OR TRUNCATE ON tallybook.audit_log FOR EACH STATEMENT EXECUTE FUNCTION tallybook.refuse_audit_change();

ALTER TABLE tallybook.audit_log ENABLE ALWAYS TRIGGER refuse_change;

CREATE TRIGGER tallybook_delete AFTER DELETE ON tallybook.sealed_usage REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION tallybook.capture_sealed();

CREATE TRIGGER tallybook_insert AFTER INSERT ON tallybook.sealed_usage REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION tallybook.capture_sealed();

CREATE TRIGGER tallybook_truncate BEFORE TRUNCATE ON tallybook.sealed_usage FOR EACH STATEMENT EXECUTE FUNCTION tallybook.refuse_truncate();

CREATE TRIGGER tallybook_update AFTER UPDATE ON tallybook.sealed_usage REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION tallybook.capture_sealed();

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

REVOKE ALL ON FUNCTION tallybook.agent_rows() FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.audit_migration() FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.audit_rollup() FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.backfill_plan(rows_max bigint, not_before timestamp with time zone, OUT since timestamp with time zone, OUT until timestamp with time zone, OUT rollups text[], OUT raw_rows bigint, OUT days bigint) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.backfill_slice(rows_max bigint, OUT since timestamp with time zone, OUT until timestamp with time zone, OUT rows_written bigint) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.backfill_slice(rows_max bigint, not_before timestamp with time zone, gently boolean, OUT since timestamp with time zone, OUT until timestamp with time zone, OUT raw_rows bigint, OUT rows_written bigint) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.backlog(OUT usage_rows bigint, OUT task_rows bigint, OUT agent_rows bigint, OUT issue_rows bigint, OUT sealed_rows bigint, OUT oldest timestamp with time zone) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.bucket(happened_at timestamp with time zone) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.bucket_bound(width interval, instant timestamp with time zone) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.bucket_column(width interval) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.bucket_expression(width interval, quarter_hour text) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.canonical_key(image text) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.capture_agent() FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.capture_faults() FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.capture_issue() FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.capture_sealed() FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.capture_task() FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.capture_usage_by(form text) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.capture_usage_delete() FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.capture_usage_insert() FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.capture_usage_update() FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.wanted_columns(OUT source text, OUT name text, OUT is_needed boolean) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.source_columns(OUT source text, OUT name text, OUT is_needed boolean, OUT relation oid, OUT number smallint, OUT column_name text, OUT type oid) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.column_of(row_name text, wanted_source text, wanted text) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.compare(rollup_name text, since timestamp with time zone, until timestamp with time zone, examples_max bigint, OUT day date, OUT keys bigint, OUT drifted_keys bigint, OUT examples jsonb) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.contribution() FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.create_rollup(rollup_name text, bucket_width interval, dimensions text[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.days_held(since timestamp with time zone, until timestamp with time zone) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.define_capture_of_keys() FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.define_capture_of_usage() FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.define_fold() FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.define_now_view(rollup_name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.define_sources() FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.detach_partition(partition regclass) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.drop_rollup(rollup_name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.each(template text, items text[], separator text) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.execute_sums(statement text, low xid8, opened xid8[], chosen uuid[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.finite(measure numeric) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.finite(measure real) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.finite(measure double precision) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.finite(measure smallint) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.finite(measure integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.finite(measure bigint) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.fold(batches_max integer, batch_rows bigint) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.fold_everything(low xid8, opened xid8[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.fold_lock_key() FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.fold_lock_holder() FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.fold_tasks(low xid8, opened xid8[], chosen uuid[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.follow_sources() FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.guarded(reading text, guarded_source text) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.happened_in(since timestamp with time zone, until timestamp with time zone) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.identity_digest(task_id uuid, provider text, model text, event_key text) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.token_measures() FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.image_difference(insert_images text) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.install_capture(source text, needs_rows boolean) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.is_adopted() FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.is_captured_by_row(source text, event text, needs_rows boolean) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.is_covered(rollup_name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.is_pending() FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.is_replicated(source regclass) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.is_seen(rollup_name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.issue_rows() FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.needs_rows(source text) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.lacks_capture(source text) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.lock_sources() FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.long_name_key(name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.mark(OUT floor xid8, OUT open xid8[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.measures() FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.measures_of(image text, sign text) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.mend_capture() FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.name_key(name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.note_break(broken_source text, reason text) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.note_columns() FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.notice_rewrites() FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.old_partitions(before timestamp with time zone) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.pending() FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.pending_by_join(low xid8, opened xid8[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.pending_by_lookup(low xid8, opened xid8[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.pending_of_tasks(low xid8, opened xid8[], chosen uuid[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.provider_key(name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.purge_sealed(kind text, id uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.quarter_hours_exact_from() FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.raw_rows_before(until timestamp with time zone, OUT raw_rows bigint, OUT is_estimate boolean) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.raw_rows_between(since timestamp with time zone, until timestamp with time zone, OUT raw_rows bigint, OUT days bigint) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.rebuild(since timestamp with time zone, until timestamp with time zone) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.rebuild_days(since timestamp with time zone, until timestamp with time zone, names text[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.rebuild_rollup(rollup_name text, since timestamp with time zone, until timestamp with time zone) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.record_audit(via text, token uuid, request text, action text, workspace uuid, target text, details jsonb) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.record_fold_error(message text) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.refuse_audit_change() FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.refuse_rewritten() FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.refuse_truncate() FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.require_alone() FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.require_sealable(since timestamp with time zone, until timestamp with time zone) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.require_slice(rows_max bigint, not_before timestamp with time zone) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.rollup_task_usage_daily() FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.rollup_task_usage_daily_window(p_from timestamp with time zone, p_to timestamp with time zone) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.seal(since timestamp with time zone, until timestamp with time zone, after timestamp with time zone, rows_max bigint, OUT rows_sealed bigint, OUT go_on_after timestamp with time zone) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.settle_views() FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.usage_columns(OUT name text, OUT is_present boolean, OUT is_integer boolean, OUT column_name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.usage_time(row_name text, wanted text) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.usage_key_image(row_name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.usage_measure_images(row_name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.signed_usage_image(row_name text, sign integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.slice_before(until timestamp with time zone, rows_max bigint) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.slice_start(until timestamp with time zone, not_before timestamp with time zone, rows_max bigint) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.source_changes() FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.sum_statement(contributions text, others text, names text[], since text[], until timestamp with time zone) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.task_rows() FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.task_usage_rollup_lag_seconds() FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.tasks_complete_from() FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.thin(since timestamp with time zone, until timestamp with time zone, OUT rows_removed bigint, OUT rows_written bigint) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.token_access(shown bytea, at timestamp with time zone, OUT id uuid, OUT workspace_id uuid, OUT scopes text[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.uncover() FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.usage_difference(insert_images text) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.usage_differences() FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.usage_image(row_name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.usage_rows() FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.utc(happened_at date) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.utc(happened_at timestamp without time zone) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.utc(happened_at timestamp with time zone) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.verify(rollup_name text, since timestamp with time zone, until timestamp with time zone, examples_max bigint, OUT keys bigint, OUT drifted_keys bigint, OUT drifted_days date[], OUT examples jsonb) FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.wait_for_fold_lock() FROM PUBLIC;

REVOKE ALL ON FUNCTION tallybook.wait_for_seal_lock() FROM PUBLIC;

