-- The source tables, with their partitions, the change tables, and what retention has sealed. Rows are estimates of the planner's, dead rows of the server's statistics.
select s.schema || '.' || s.name as name,
  pg_total_relation_size(c.oid) + coalesce(parts.size_bytes, 0)::bigint as size_bytes,
  greatest(c.reltuples, 0)::bigint as rows_estimated,
  (coalesce(t.n_dead_tup, 0) + coalesce(parts.dead_rows, 0))::bigint as dead_rows
from (
  values ('public', 'task_usage'), ('public', 'agent_task_queue'), ('public', 'agent'), ('public', 'issue'),
    ('tallybook', 'usage_change'), ('tallybook', 'task_change'), ('tallybook', 'agent_change'), ('tallybook', 'issue_change'),
    ('tallybook', 'sealed_change'), ('tallybook', 'sealed_usage'), ('tallybook', 'sealed_identity')) s (schema, name)
join pg_class c on c.oid = to_regclass(format('%I.%I', s.schema, s.name))
left join pg_stat_all_tables t on t.relid = c.oid
cross join lateral (
  select sum(pg_total_relation_size(p.relid)) as size_bytes, sum(pt.n_dead_tup) as dead_rows
  from pg_partition_tree(c.oid) p left join pg_stat_all_tables pt on pt.relid = p.relid
  where p.isleaf and p.relid <> c.oid) parts
order by s.schema, s.name
