-- The age of the oldest transaction in this database, prepared ones included, that keeps dead rows; 0 when there is none. Without
-- pg_read_all_stats those of other roles are not seen.
select greatest(0, coalesce(extract(epoch from clock_timestamp() - min(began)), 0))::double precision
from (
  select xact_start as began from pg_stat_activity
  where datname = current_database() and pid <> pg_backend_pid() and (backend_xid is not null or backend_xmin is not null)
  union all
  select prepared from pg_prepared_xacts where database = current_database()) open
