-- How much the indexes on tables $1, with keys of $2 bytes, and the backfill have to read and write, by the statistics of the last VACUUM or ANALYZE.
-- An entry of an index: its key, 8 bytes before it and 4 that point to it, on pages that are 90 % full; equal keys share entries, so it is less where there are many.
with
  builds as (
    select c.oid, greatest(c.reltuples, 0) as rows, c.reltuples < 0 as is_unknown, greatest(2 * 8192, greatest(c.reltuples, 0) * (key_bytes + 12) / 0.9) as bytes
    from unnest($1::text[], $2::integer[]) as build (relation, key_bytes)
    join pg_class c on c.oid = to_regclass(relation)),
  usage as (
    select sum(greatest(c.reltuples, 0)) as rows, bool_or(c.reltuples < 0) as is_unknown
    from pg_class c
    where c.relkind = 'r' and c.oid in (select to_regclass('public.task_usage') union select relid from pg_partition_tree(to_regclass('public.task_usage'))))
select 'note' as severity, 'index_builds' as code, 'the indexes to be built' as place,
  format('they take at most about %s of disk, and as much WAL; each build reads its table twice, together about %s rows%s',
    pg_size_pretty(sum(bytes)::bigint), to_char(2 * sum(rows), 'FM999,999,999,999,990'),
    case when bool_or(is_unknown) then ', without tables that were never analyzed' else '' end) as what,
  format('Estimated from pg_class.reltuples%s. How long it takes depends on the disk, and on maintenance_work_mem (%s): pg_stat_progress_create_index shows how far a build is.',
    case when bool_or(is_unknown) then '; ANALYZE makes it better' else '' end, current_setting('maintenance_work_mem')) as advice
from builds
having count(*) > 0
union all
select 'note', 'backfill', 'table public.task_usage',
  format('the backfill will sum its rows, about %s%s, day by day; reads are exact before, during and after', to_char(rows, 'FM999,999,999,999,990'),
    case when is_unknown then ' without what was never analyzed' else '' end),
  'Once the database is adopted, `tallybook backfill --dry-run` tells about how long that takes, from a sample.'
from usage
where rows is not null
