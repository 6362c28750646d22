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
comment on function tallybook.finite is 'A measure as it enters sums: null, NaN and the infinities are 0.';

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

-- The columns of public.task_usage as capture and the raw sums read them. A table that was not made by us may lack some.
create function tallybook.usage_columns(out name text, out is_present boolean, out is_integer boolean) returns setof record
  language sql stable set search_path = pg_catalog, pg_temp
  begin atomic
    select wanted.name, a.attname is not null, coalesce(a.atttypid in ('int2'::regtype, 'int4'::regtype, 'int8'::regtype), false)
    from unnest(tallybook.token_measures() || array['cost_usd_ticks']) with ordinality as wanted (name, position)
    left join pg_attribute a on a.attrelid = 'public.task_usage'::regclass and a.attname = wanted.name and not a.attisdropped
    order by position;
  end;
comment on function tallybook.usage_columns is 'The measures that a row of public.task_usage may hold, in order.';

-- Capture keeps key parts as they are written; whoever reads makes them canonical: the writer is the one who must not wait.
create function tallybook.usage_key_image(row_name text) returns text
  language sql immutable parallel safe
  return pg_catalog.format('%1$s.task_id as task_id, %1$s.provider::text as provider, %1$s.model::text as model, %1$s.created_at as happened_at', row_name);
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
      when name = 'cost_usd_ticks' and is_integer then format('%s.%s::numeric', row_name, name)
      when name = 'cost_usd_ticks' then format('case when %1$s.%2$s is not null then tallybook.finite(%1$s.%2$s::numeric) end', row_name, name)
      when is_integer then format('coalesce(%s.%s, 0)::numeric', row_name, name)
      else format('tallybook.finite(%s.%s::numeric)', row_name, name)
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

-- The truth: one row for each row of raw usage whose task and agent exist. String body, stable, invoker's rights, no settings:
-- the planner inlines it, so that filters reach the source tables' indexes, and it binds the host's columns late.
do $$
begin
  execute format($function$
    create function tallybook.contribution() returns table (
      happened_at timestamptz, task_id uuid, issue_id uuid, bucket_start timestamptz, workspace_id uuid, runtime_id uuid, agent_id uuid,
      project_id uuid, provider text, model text, %s, event_count bigint)
      language sql stable as $body$
        select u.happened_at, u.task_id, t.issue_id, tallybook.bucket(u.happened_at), a.workspace_id, t.runtime_id, t.agent_id, i.project_id,
          tallybook.provider_key(u.provider collate "C"), tallybook.name_key(u.model collate "C"), %s, coalesce(u.cost_usd_ticks, 0), %s, 1::bigint
        from (select %s from public.task_usage u) u
        join public.agent_task_queue t on t.id = u.task_id
        join public.agent a on a.id = t.agent_id
        left join public.issue i on i.id = t.issue_id
      $body$
    $function$,
    tallybook.each('{} numeric', (tallybook.measures())[1:11]),
    tallybook.each('u.{}', tallybook.token_measures()),
    tallybook.each('case when u.cost_usd_ticks is null then u.{} else 0 end', tallybook.token_measures()),
    tallybook.usage_image('u'));
end $$;
comment on function tallybook.contribution is 'What each row of raw usage contributes: the truth that every now-view equals the sums of.';

revoke all on all functions in schema tallybook from public;
