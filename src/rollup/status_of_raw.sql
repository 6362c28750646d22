-- The raw usage, with its partitions where it has some. Rows are an estimate of the planner's.
select
  greatest(c.reltuples, 0)::bigint as rows_estimated,
  (pg_total_relation_size(c.oid) + coalesce((
    select sum(pg_total_relation_size(p.relid)) from pg_partition_tree(c.oid) p where p.isleaf and p.relid <> c.oid), 0))::bigint as size_bytes
from pg_class c
where c.oid = 'public.task_usage'::regclass
