-- The captured source tables that are there: what they are, how large, and how their changes are, or would be, captured.
select 'public.' || c.relname as name,
  case c.relkind when 'r' then 'ordinary' when 'p' then 'partitioned' else 'other' end as kind,
  coalesce(p.partitions, 0) as partitions,
  (case when c.relkind = 'p' then coalesce(p.rows, 0) else greatest(c.reltuples, 0) end)::bigint as rows_estimated,
  case when c.relname <> 'task_usage' or c.relkind = 'p' or c.relispartition or r.is_replicated then 'row' else 'statement' end as captured_by,
  r.is_replicated
from pg_class c
cross join lateral (
  select count(*) filter (where t.level > 0) as partitions, sum(greatest(m.reltuples, 0)) filter (where t.isleaf) as rows, array_agg(t.relid::oid) as members
  from pg_partition_tree(c.oid) t join pg_class m on m.oid = t.relid) p
cross join lateral (
  select exists (select from pg_subscription_rel s where s.srrelid = c.oid or s.srrelid = any (p.members)) as is_replicated) r
where c.relnamespace = to_regnamespace('public') and c.relname in ('task_usage', 'agent_task_queue', 'agent', 'issue') and c.relkind in ('r', 'p')
order by array_position(array['task_usage', 'agent_task_queue', 'agent', 'issue'], c.relname::text)
