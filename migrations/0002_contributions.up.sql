-- What a row of raw usage contributes: its measures, at its key. The one definition that capture, pending, backfill and verify share.
-- Only new objects in schema tallybook; no lock on the source tables but ACCESS SHARE, for milliseconds.
--
-- Invariant (I6): no bucket and no key depends on a session setting or on the database's locale.
-- Invariant: no value that a host stores makes these functions fail, or makes a key too long for an index row.

comment on schema tallybook is 'Exact rollups of public.task_usage. Read the *_now views.';

create function tallybook.bucket(happened_at timestamptz) returns timestamptz
  language sql immutable parallel safe
  return pg_catalog.date_bin('15 minutes',
    greatest(least(coalesce(happened_at, '0001-01-01 00:00+00'), '9999-12-31 23:45+00'::timestamptz), '0001-01-01 00:00+00'),
    '0001-01-01 00:00+00');
comment on function tallybook.bucket is
  'The quarter hour, in UTC, that a time falls into. Null, infinite and out-of-range times enter the first or the last one: years 1 and 9999.';

-- apart, so that the planner can inline what short names need
create function tallybook.long_name_key(name text) returns text
  language plpgsql immutable parallel safe set search_path = pg_catalog, pg_temp as $$
begin
  return left(name, 40) || '~' || encode(sha256(convert_to(name, 'UTF8')), 'hex');
end $$;
comment on function tallybook.long_name_key is 'A name that is too long for an index row, as it enters keys: its beginning and a digest.';

create function tallybook.name_key(name text) returns text
  language sql immutable parallel safe
  return case
    when pg_catalog.octet_length(name) <= 256 then name
    when name is null then ''
    else tallybook.long_name_key(name)
  end;
comment on function tallybook.name_key is 'A provider''s or model''s name as it enters keys: null is the empty name, one of over 256 bytes is cut and digested.';

create function tallybook.provider_key(name text) returns text
  language sql immutable parallel safe
  return tallybook.name_key(pg_catalog.lower(name collate "C") collate "C");
comment on function tallybook.provider_key is 'A provider''s name as it enters keys: name_key of its lower case. Call both with collate "C".';

create function tallybook.finite(measure numeric) returns numeric
  language sql immutable parallel safe
  return case when measure in ('NaN', 'Infinity', '-Infinity') then 0 else coalesce(measure, 0) end;
comment on function tallybook.finite(numeric) is 'A measure as it enters sums: null, NaN and the infinities are 0.';

-- For each type that adopted tables count in: what the host retypes among them is followed by the name alone, and what is no number is found when a
-- statement is planned, never by one of its rows.
create function tallybook.finite(measure smallint) returns numeric
  language sql immutable parallel safe return coalesce(measure, 0)::numeric;
create function tallybook.finite(measure integer) returns numeric
  language sql immutable parallel safe return coalesce(measure, 0)::numeric;
create function tallybook.finite(measure bigint) returns numeric
  language sql immutable parallel safe return coalesce(measure, 0)::numeric;
create function tallybook.finite(measure real) returns numeric
  language sql immutable parallel safe return tallybook.finite(measure::numeric);
create function tallybook.finite(measure double precision) returns numeric
  language sql immutable parallel safe return tallybook.finite(measure::numeric);
comment on function tallybook.finite(smallint) is 'The same of a smallint.';
comment on function tallybook.finite(integer) is 'The same of an integer.';
comment on function tallybook.finite(bigint) is 'The same of a bigint.';
comment on function tallybook.finite(real) is 'The same of a real.';
comment on function tallybook.finite(double precision) is 'The same of a double precision.';

create function tallybook.utc(happened_at timestamptz) returns timestamptz
  language sql immutable parallel safe return happened_at;
create function tallybook.utc(happened_at timestamp) returns timestamptz
  language sql immutable parallel safe return pg_catalog.timezone('UTC', happened_at);
create function tallybook.utc(happened_at date) returns timestamptz
  language sql immutable parallel safe return pg_catalog.timezone('UTC', happened_at::timestamp);
comment on function tallybook.utc(timestamptz) is 'A time of an adopted table.';
comment on function tallybook.utc(timestamp) is 'The same of a time without zone: it is UTC.';
comment on function tallybook.utc(date) is 'The same of a date: it begins in UTC.';

-- Generated SQL is made of lists: of measures, of dimensions.
create function tallybook.each(template text, items text[], separator text default ', ') returns text
  language sql immutable parallel safe
  return (select pg_catalog.string_agg(pg_catalog.replace(template, '{}', item), separator order by position)
          from pg_catalog.unnest(items) with ordinality as list (item, position));
comment on function tallybook.each is 'The template once for each item, which takes the place of {}.';

create function tallybook.token_measures() returns text[]
  language sql immutable parallel safe
  return array['input_tokens', 'output_tokens', 'cache_read_tokens', 'cache_write_tokens', 'cache_write_1h_tokens'];
comment on function tallybook.token_measures is 'The disjoint token counts of a usage row.';

create function tallybook.measures() returns text[]
  language sql immutable parallel safe
  return tallybook.token_measures() || array['cost_usd_ticks', 'uncosted_input_tokens', 'uncosted_output_tokens',
    'uncosted_cache_read_tokens', 'uncosted_cache_write_tokens', 'uncosted_cache_write_1h_tokens', 'event_count'];
comment on function tallybook.measures is
  'What rollups sum: tokens; the cost that providers named, in 1e-10 USD; the tokens of rows for which they named none; the number of rows.';

create type tallybook.contribution as (
  bucket_start timestamptz,
  workspace_id uuid,
  runtime_id uuid,
  agent_id uuid,
  project_id uuid,
  provider text collate "C",
  model text collate "C",
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
comment on type tallybook.contribution is 'Measures at a key.';

-- Source columns ------------------------------------------------------------------------------------------------------------------------------------

create function tallybook.is_adopted() returns boolean
  language sql stable security definer set search_path = pg_catalog, pg_temp
  begin atomic
    select is_adopted from tallybook.installation;
  end;
comment on function tallybook.is_adopted is 'Whether the source tables are somebody else''s.';

create function tallybook.wanted_columns(out source text, out name text, out is_needed boolean) returns setof record
  language sql immutable set search_path = pg_catalog, pg_temp
  begin atomic
    select list.source, wanted.name, list.is_needed
    from (values
      ('task_usage', true, array['task_id', 'provider', 'model', 'input_tokens', 'output_tokens', 'created_at']),
      ('task_usage', false, array['cache_read_tokens', 'cache_write_tokens', 'cache_write_1h_tokens', 'cost_usd_ticks', 'event_key', 'updated_at']),
      ('agent_task_queue', true, array['id', 'agent_id', 'runtime_id', 'issue_id']),
      ('agent', true, array['id', 'workspace_id']),
      ('issue', true, array['id', 'project_id'])) as list (source, is_needed, names)
    cross join unnest(list.names) as wanted (name);
  end;
comment on function tallybook.wanted_columns is 'The columns of the source tables that are read, and whether they have to be there.';

create function tallybook.source_columns(out source text, out name text, out is_needed boolean,
    out relation oid, out number smallint, out column_name text, out type oid) returns setof record
  language sql stable set search_path = pg_catalog, pg_temp
  begin atomic
    select w.source, w.name, w.is_needed, a.attrelid, a.attnum, a.attname::text, a.atttypid
    from tallybook.wanted_columns() w
    left join tallybook.source_column c on c.source = w.source and c.name = w.name
    left join lateral (
      -- named one by one: a dump spells out what * stands for, and catalogs differ between versions
      select attrelid, attnum, attname, atttypid
      from pg_attribute
      where attrelid = to_regclass('public.' || w.source) and attnum > 0 and not attisdropped
        and (attname in (w.name, c.column_name) or (attrelid = c.relation and attnum = c.number))
      -- where it was, else by the name that it had
      order by coalesce(attrelid = c.relation and attnum = c.number, false) desc, coalesce(attname = c.column_name, false) desc
      limit 1) a on true;
  end;
comment on function tallybook.source_columns is 'Where the columns of the source tables are now; those that are gone have no number.';

create function tallybook.note_columns() returns void
  language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  delete from tallybook.source_column s
  using tallybook.source_columns() c
  where c.source = s.source and c.name = s.name and c.number is null;
  insert into tallybook.source_column as s (source, name, column_name, relation, number)
  select source, name, column_name, relation, number from tallybook.source_columns() where number is not null
  on conflict (source, name) do update set column_name = excluded.column_name, relation = excluded.relation, number = excluded.number
  where (s.column_name, s.relation, s.number) <> (excluded.column_name, excluded.relation, excluded.number);
end $$;
comment on function tallybook.note_columns is 'Writes down where the columns of adopted source tables are.';

create function tallybook.column_of(row_name text, wanted_source text, wanted text) returns text
  language sql stable set search_path = pg_catalog, pg_temp
  return row_name || '.' || coalesce(
    (select quote_ident(c.column_name) from tallybook.source_columns() c where c.source = wanted_source and c.name = wanted), wanted);
comment on function tallybook.column_of is 'SQL: a column of a row of a source table, by the name that it has there.';

create function tallybook.usage_columns(out name text, out is_present boolean, out is_integer boolean, out column_name text) returns setof record
  language sql stable set search_path = pg_catalog, pg_temp
  begin atomic
    select wanted.name, c.number is not null,
      -- those of an adopted table may be retyped without a word
      coalesce(c.type in ('int2'::regtype, 'int4'::regtype, 'int8'::regtype), false) and not tallybook.is_adopted(),
      coalesce(quote_ident(c.column_name), wanted.name)
    from unnest(tallybook.token_measures() || array['cost_usd_ticks']) with ordinality as wanted (name, position)
    join tallybook.source_columns() c on c.source = 'task_usage' and c.name = wanted.name
    order by position;
  end;
comment on function tallybook.usage_columns is 'The measures that a row of public.task_usage may hold, in order. A table that was not made by us may lack some.';

create function tallybook.usage_time(row_name text, wanted text default 'created_at') returns text
  language sql stable set search_path = pg_catalog, pg_temp
  return format(case when tallybook.is_adopted() then 'tallybook.utc(%s)' else '%s' end, tallybook.column_of(row_name, 'task_usage', wanted));
comment on function tallybook.usage_time is 'SQL: a time of a row of public.task_usage.';

-- Capture keeps key parts as they are written; whoever reads makes them canonical: the writer is the one who must not wait.
create function tallybook.usage_key_image(row_name text) returns text
  language sql stable set search_path = pg_catalog, pg_temp
  return format('%s as task_id, %s::pg_catalog.text collate pg_catalog."C" as provider, %s::pg_catalog.text collate pg_catalog."C" as model, %s as happened_at',
    tallybook.column_of(row_name, 'task_usage', 'task_id'), tallybook.column_of(row_name, 'task_usage', 'provider'),
    tallybook.column_of(row_name, 'task_usage', 'model'), tallybook.usage_time(row_name));
comment on function tallybook.usage_key_image is 'SQL: the task and the key parts of a row of public.task_usage, as they are written.';

create function tallybook.canonical_key(image text) returns text
  language sql immutable parallel safe
  return pg_catalog.format('%1$s.task_id, tallybook.provider_key(%1$s.provider collate "C") as provider, '
    'tallybook.name_key(%1$s.model collate "C") as model, tallybook.bucket(%1$s.happened_at) as bucket_start', image);
comment on function tallybook.canonical_key is 'SQL: the task and the canonical key parts of a usage_key_image.';

create function tallybook.usage_measure_images(row_name text) returns text[]
  language sql stable set search_path = pg_catalog, pg_temp
  return (
    select array_agg(case
      when not is_present then case name when 'cost_usd_ticks' then 'null::numeric' else '0::numeric' end
      when name = 'cost_usd_ticks' and is_integer then format('%s.%s::numeric', row_name, column_name)
      when name = 'cost_usd_ticks' then format('case when %1$s.%2$s is not null then tallybook.finite(%1$s.%2$s) end', row_name, column_name)
      when is_integer then format('coalesce(%s.%s, 0)::numeric', row_name, column_name)
      else format('tallybook.finite(%s.%s)', row_name, column_name)
    end)
    from tallybook.usage_columns()
  );
comment on function tallybook.usage_measure_images is
  'SQL: each measure of a row of public.task_usage. A null cost stays null: no provider named one.';

create function tallybook.usage_image(row_name text) returns text
  language sql stable set search_path = pg_catalog, pg_temp
  return (
    select tallybook.usage_key_image(row_name) || ', ' || string_agg(image || ' as ' || name, ', ')
    from rows from (unnest(tallybook.usage_measure_images(row_name)), tallybook.usage_columns()) as measure (image, name)
  );
comment on function tallybook.usage_image is 'SQL: task, key parts and measures of a row of public.task_usage.';

-- How an image's measures become a contribution's: tokens of a row without a cost are uncosted.
create function tallybook.measures_of(image text, sign text default '') returns text
  language sql immutable parallel safe
  return tallybook.each('sum(' || sign || image || '.{}) as {}', tallybook.token_measures())
    || ', coalesce(sum(' || sign || image || '.cost_usd_ticks), 0) as cost_usd_ticks, '
    || tallybook.each('coalesce(sum(' || sign || image || '.{}) filter (where ' || image || '.cost_usd_ticks is null), 0) as uncosted_{}',
         tallybook.token_measures())
    || ', sum(' || sign || image || '.event_count)::bigint as event_count';
comment on function tallybook.measures_of is 'SQL: the sums of the measures of images; sign is a factor, such as ''s.sign * ''.';

-- What retention has taken out of raw usage stays, with its key as it was when it was sealed. Several rows may share a key: who seals only appends, and
-- so waits for nobody.
do $$
begin
  execute format($sql$
    create table tallybook.sealed_usage (
      bucket_start timestamptz not null, workspace_id uuid not null, runtime_id uuid, agent_id uuid not null, project_id uuid,
      provider text collate "C" not null, model text collate "C" not null, %s, event_count bigint not null, is_thinned boolean not null default false)
    $sql$, tallybook.each('{} numeric not null', (tallybook.measures())[1:11]));
end $$;
alter table tallybook.sealed_usage replica identity full;
create index sealed_usage_bucket on tallybook.sealed_usage (bucket_start);
create index sealed_usage_workspace on tallybook.sealed_usage (workspace_id);
create index sealed_usage_runtime on tallybook.sealed_usage (runtime_id) where runtime_id is not null;
create index sealed_usage_agent on tallybook.sealed_usage (agent_id);
create index sealed_usage_project on tallybook.sealed_usage (project_id) where project_id is not null;
comment on table tallybook.sealed_usage is 'Usage that retention has taken out of public.task_usage: sums at keys that no move changes any more. Part of the truth.';
comment on column tallybook.sealed_usage.is_thinned is 'Whether only the UTC day is known: bucket_start is its first quarter hour.';

-- The source tables, with the columns that are read under the names that they have here. String bodies, stable, invoker's rights, no settings: the
-- planner inlines them, so that filters reach the tables' indexes, and they bind the host's columns late: it may still alter them.
create function tallybook.define_sources() returns void
  language plpgsql set search_path = pg_catalog, pg_temp as $generator$
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
end $generator$;
comment on function tallybook.define_sources is 'Makes the functions that read the source tables.';

select tallybook.note_columns() where tallybook.is_adopted();
select tallybook.define_sources();

-- The truth: one row for each row of raw usage whose task and agent exist, and the sums that are sealed. Inlined like the functions that it reads from.
do $$
begin
  execute format($function$
    create function tallybook.contribution() returns table (
      happened_at timestamptz, task_id uuid, issue_id uuid, bucket_start timestamptz, workspace_id uuid, runtime_id uuid, agent_id uuid,
      project_id uuid, provider text, model text, %1$s, event_count bigint)
      language sql stable as $body$
        select u.happened_at, u.task_id, t.issue_id, tallybook.bucket(u.happened_at), a.workspace_id, t.runtime_id, t.agent_id, i.project_id,
          tallybook.provider_key(u.provider collate "C"), tallybook.name_key(u.model collate "C"), %2$s, coalesce(u.cost_usd_ticks, 0), %3$s, 1::bigint
        from tallybook.usage_rows() u
        join tallybook.task_rows() t on t.id = u.task_id
        join tallybook.agent_rows() a on a.id = t.agent_id
        left join tallybook.issue_rows() i on i.id = t.issue_id
        union all
        select s.bucket_start, null::uuid, null::uuid, s.bucket_start, s.workspace_id, s.runtime_id, s.agent_id, s.project_id,
          s.provider, s.model, %4$s
        from tallybook.sealed_usage s
      $body$
    $function$,
    tallybook.each('{} numeric', (tallybook.measures())[1:11]),
    tallybook.each('u.{}', tallybook.token_measures()),
    tallybook.each('case when u.cost_usd_ticks is null then u.{} else 0 end', tallybook.token_measures()),
    tallybook.each('s.{}', tallybook.measures()));
end $$;
comment on function tallybook.contribution is
  'What usage contributes, each raw row and each sum that is sealed: the truth that every now-view equals the sums of. Sealed usage has no task and no issue.';

revoke all on all functions in schema tallybook from public;
