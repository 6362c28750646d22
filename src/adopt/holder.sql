-- Who holds a lock on table $1, or on a partition or an index of it: rather one who does more than read, and then the one whose transaction is
-- the oldest.
select case
    when a.pid is null then 'held by a prepared transaction'
    when a.backend_type = 'autovacuum worker' then format('held by autovacuum (backend %s), which ends by itself', a.pid)
    else format('held by backend %s (%s)', a.pid, coalesce(nullif(a.application_name, ''), 'no application name'))
  end
from pg_locks l
left join pg_stat_activity a on a.pid = l.pid
where l.locktype = 'relation' and l.granted and l.database = (select oid from pg_database where datname = current_database())
  and (l.relation = to_regclass($1) or l.relation in (select p.relid from pg_partition_tree(to_regclass($1)) p)
    or l.relation in (select i.indexrelid from pg_index i where i.indrelid = to_regclass($1)))
  and l.pid is distinct from pg_backend_pid()
order by l.mode = 'AccessShareLock', a.xact_start nulls first
limit 1
