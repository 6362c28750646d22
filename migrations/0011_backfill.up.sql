-- Backfill: history is covered in slices of whole days, from the newest one back, at a pace, and with a word on how far it is.
-- Only new objects in schema tallybook; no lock on the source tables.

create table tallybook.backfill_state (
  singleton boolean primary key default true check (singleton),
  slices bigint not null default 0,
  raw_rows bigint not null default 0,
  last_slice_started_at timestamptz,
  last_slice_finished_at timestamptz,
  recent_rows numeric not null default 0,
  recent_busy interval not null default '0',
  recent_elapsed interval not null default '0'
);
alter table tallybook.backfill_state replica identity full;
insert into tallybook.backfill_state default values;
comment on table tallybook.backfill_state is 'What backfill has done, and its pace: one row, written in the transaction of each slice.';
comment on column tallybook.backfill_state.slices is 'Slices covered since installation.';
comment on column tallybook.backfill_state.raw_rows is 'Raw rows that they held.';
comment on column tallybook.backfill_state.recent_rows is 'Raw rows of the last slices: a slice counts with three quarters of the next one''s weight. So do the two times.';
comment on column tallybook.backfill_state.recent_busy is 'How long those slices took.';
comment on column tallybook.backfill_state.recent_elapsed is 'The same with the pauses between them.';

create function tallybook.raw_rows_between(since timestamptz, until timestamptz, out raw_rows bigint, out days bigint)
  language plpgsql stable security definer set search_path = pg_catalog, pg_temp set jit = off as $$
begin
  execute format('select count(*), count(distinct date_trunc(''day'', tallybook.bucket(happened_at), ''UTC''))
    from tallybook.usage_rows() where %s', tallybook.happened_in(since, until)) into raw_rows, days;
end $$;
comment on function tallybook.raw_rows_between is 'How many raw rows lie in whole UTC days, [since, until), and on how many days.';

create function tallybook.raw_rows_before(until timestamptz, out raw_rows bigint, out is_estimate boolean)
  -- volatile, since no other function may ask the planner
  language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set datestyle = 'ISO' set jit = off set enable_seqscan = off as $$
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
comment on function tallybook.raw_rows_before is 'How many raw rows are older than a time: counted where they are few, else as the planner estimates it.';

create function tallybook.slice_start(until timestamptz, not_before timestamptz, rows_max bigint) returns timestamptz
  language sql stable security definer set search_path = pg_catalog, pg_temp
  return greatest(tallybook.slice_before(until, rows_max), not_before, (select max(covered_from) from tallybook.rollup where covered_from < until));
comment on function tallybook.slice_start is
  'Where a slice of backfill begins that ends at a day: it holds whole days, ends at not_before, and not beyond the coverage of the next rollup.';

create function tallybook.require_slice(rows_max bigint, not_before timestamptz) returns void
  language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  if rows_max is null or rows_max < 1 then
    raise exception 'a slice has at least one row, not %', coalesce(rows_max::text, 'null') using errcode = 'invalid_parameter_value';
  elsif not_before is null or not_before <> date_trunc('day', not_before, 'UTC') then
    raise exception 'backfill stops at the beginning of a UTC day, not at %', coalesce(not_before::text, 'null') using errcode = 'invalid_parameter_value';
  end if;
end $$;
comment on function tallybook.require_slice is 'Fails where nothing can be covered in slices of such a kind.';

create function tallybook.backfill_slice(rows_max bigint, not_before timestamptz, gently boolean,
    out since timestamptz, out until timestamptz, out raw_rows bigint, out rows_written bigint) returns setof record
  language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '5s' as $$
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
comment on function tallybook.backfill_slice(bigint, timestamptz, boolean) is
  'Covers the newest days that are not covered and not before a day, in every rollup that lacks them, reading each raw row once. No row when there are none; gently: also while another one is at work, or has been a moment ago.';

create function tallybook.backfill_slice(rows_max bigint, out since timestamptz, out until timestamptz, out rows_written bigint) returns setof record
  language sql security definer set search_path = pg_catalog, pg_temp as $$
  select since, until, rows_written from tallybook.backfill_slice(rows_max, '-infinity', false)
$$;
comment on function tallybook.backfill_slice(bigint) is 'The same to the beginning of history, at once.';

create function tallybook.backfill_plan(rows_max bigint, not_before timestamptz,
    out since timestamptz, out until timestamptz, out rollups text[], out raw_rows bigint, out days bigint) returns setof record
  language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
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
comment on function tallybook.backfill_plan is 'The slices that backfill would cover now, newest first, and the rollups that lack them. Counts every raw row that is not covered.';

create view tallybook.backfill_progress as
select r.name as rollup,
  r.covered_from,
  r.covered_from = '-infinity' as is_covered,
  l.raw_rows as raw_rows_left,
  l.is_estimate,
  s.rows_per_second,
  make_interval(secs => (l.raw_rows / nullif(s.rows_per_second, 0))::double precision) as time_left,
  s.last_slice_finished_at
from tallybook.rollup r
cross join lateral tallybook.raw_rows_before(r.covered_from) l
cross join (
  select last_slice_finished_at, round(recent_rows / nullif(extract(epoch from recent_elapsed), 0), 1) as rows_per_second
  from tallybook.backfill_state) s;
comment on view tallybook.backfill_progress is 'How far backfill is, for each rollup. Reads are exact all the same: days that are not covered are read from raw.';
comment on column tallybook.backfill_progress.raw_rows_left is 'Raw rows on days that are not covered.';
comment on column tallybook.backfill_progress.is_estimate is 'Whether they were too many to count, and the planner was asked.';
comment on column tallybook.backfill_progress.rows_per_second is 'The pace of the last slices, with the pauses between them. None before the first.';
comment on column tallybook.backfill_progress.time_left is 'How long it takes at that pace.';

revoke all on all functions in schema tallybook from public;
