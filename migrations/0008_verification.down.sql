-- Leaves verify as migration 0005 made it.
create or replace function tallybook.verify(rollup_name text, since timestamptz, until timestamptz, examples_max bigint,
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

drop function tallybook.notice_rewrites();
drop table tallybook.drift, tallybook.source_file, tallybook.verify_state;
drop function tallybook.rebuild_rollup(text, timestamptz, timestamptz), tallybook.days_held(timestamptz, timestamptz),
  tallybook.slice_before(timestamptz, bigint), tallybook.compare(text, timestamptz, timestamptz, bigint);
