-- Verification in slices of whole UTC days, by operators and, all the time, by the service; repair of one rollup's days.
-- Only new objects in schema tallybook, and tallybook.verify in terms of one of them; no lock on the source tables.

-- Compare ----------------------------------------------------------------------------------------------------------------------------------------

create function tallybook.compare(rollup_name text, since timestamptz, until timestamptz, examples_max bigint,
    out day date, out keys bigint, out drifted_keys bigint, out examples jsonb) returns setof record
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
end $$;
comment on function tallybook.compare is
  'Compares a now-view with the sums of raw usage, both ways, in the caller''s snapshot: a row for each UTC day that holds keys, with some of those that differ.';

create or replace function tallybook.verify(rollup_name text, since timestamptz, until timestamptz, examples_max bigint,
    out keys bigint, out drifted_keys bigint, out drifted_days date[], out examples jsonb)
  language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
  select coalesce(sum(c.keys), 0), coalesce(sum(c.drifted_keys), 0), coalesce(array_agg(c.day order by c.day) filter (where c.drifted_keys > 0), '{}'),
    jsonb_path_query_array(coalesce(jsonb_agg(c.examples order by c.day), '[]'), '$[*][*]')
  into keys, drifted_keys, drifted_days, examples
  from tallybook.compare(rollup_name, since, until, examples_max) c;
end $$;

-- Slices -----------------------------------------------------------------------------------------------------------------------------------------

create function tallybook.slice_before(until timestamptz, rows_max bigint) returns timestamptz
  language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
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
comment on function tallybook.slice_before is
  'Where the whole UTC days begin that lie before a day and hold so many rows of raw or of sealed usage; -infinity when there are no more.';

create function tallybook.days_held(since timestamptz, until timestamptz) returns setof date
  language plpgsql stable security definer set search_path = pg_catalog, pg_temp set datestyle = 'ISO' set jit = off as $$
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
end $$;
comment on function tallybook.days_held is 'The UTC days, in [since, until), on which there is usage, raw or sealed, or a row of any rollup.';

-- Repair -----------------------------------------------------------------------------------------------------------------------------------------

create function tallybook.rebuild_rollup(rollup_name text, since timestamptz, until timestamptz) returns bigint
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
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
comment on function tallybook.rebuild_rollup is
  'Replaces whole UTC days, [since, until), of one rollup by the raw sums less what is pending. Returns the rollup rows written.';

-- What the service's verification has found --------------------------------------------------------------------------------------------------------

create table tallybook.verify_state (
  singleton boolean primary key default true check (singleton),
  due_at timestamptz not null default '-infinity',
  next_is_newest boolean not null default true,
  unchecked_until date not null default 'infinity',
  round_started_at timestamptz,
  checked_since timestamptz,
  checked_at timestamptz
);
alter table tallybook.verify_state replica identity full;
insert into tallybook.verify_state default values;
comment on table tallybook.verify_state is
  'How far the verification is that services do all the time: one row. The newest days and a slice of history take turns.';
comment on column tallybook.verify_state.due_at is 'Nobody checks before this time; whoever checks moves it on first.';
comment on column tallybook.verify_state.next_is_newest is 'Whether the newest days come next, or history.';
comment on column tallybook.verify_state.unchecked_until is 'What this round still has to check: all before this UTC day; infinity when no round is under way.';
comment on column tallybook.verify_state.round_started_at is 'When this round began.';
comment on column tallybook.verify_state.checked_since is 'Every day has been checked since then: the beginning of the last round that came to its end.';
comment on column tallybook.verify_state.checked_at is 'When a slice was checked last.';

create table tallybook.source_file (
  source text primary key,
  file oid not null
);
alter table tallybook.source_file replica identity full;
comment on table tallybook.source_file is
  'The source tables, their partitions, and in which files they lay when it was looked last: what was rewritten, attached or detached since went past the triggers.';
comment on column tallybook.source_file.source is 'The table, or a partition of it.';
comment on column tallybook.source_file.file is 'Its file node; 0 where only its partitions have some.';

create function tallybook.notice_rewrites() returns setof text
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
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
comment on function tallybook.notice_rewrites is
  'The source tables that were rewritten since it was called last, by ALTER, VACUUM FULL or CLUSTER, and the partitions that came or went with rows: all days are to be verified anew, since values may have changed unseen.';

create table tallybook.drift (
  rollup text references tallybook.rollup (name) on delete cascade,
  day date,
  drifted_keys bigint not null check (drifted_keys > 0),
  found_at timestamptz not null default now(),
  checked_at timestamptz not null default now(),
  primary key (rollup, day)
);
alter table tallybook.drift replica identity full;
comment on table tallybook.drift is 'Days on which a now-view was found to differ from raw usage, until a check finds them exact. Empty when all is well.';
comment on column tallybook.drift.drifted_keys is 'How many keys of the day differed at the last check.';
comment on column tallybook.drift.found_at is 'When it was found first.';
comment on column tallybook.drift.checked_at is 'When it was found last.';

revoke all on all functions in schema tallybook from public;
