-- Transactions of this database that have been open for $1 seconds and keep dead rows, and any that has kept others from writing rollups for
-- $2 seconds; the oldest first, ten at most. Without pg_read_all_stats those of other roles are not seen.
with
  open as (
    select pid, backend_xid is not null or backend_xmin is not null as keeps_rows, xact_start as began,
      format('backend %s (%s)', pid, coalesce(nullif(application_name, ''), 'no application name')) as who
    from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid() and xact_start is not null
    union all
    select null, true, prepared, format('prepared transaction %L', gid) from pg_prepared_xacts where database = current_database()),
  holder as (
    select l.pid, tallybook.fold_lock_holder() as who
    from pg_locks l
    where l.locktype = 'advisory' and l.granted and l.objsubid = 1
      and l.database = (select oid from pg_database where datname = current_database())
      and (l.classid::bigint << 32) | l.objid::bigint = tallybook.fold_lock_key()),
  aged as (
    select o.who, extract(epoch from clock_timestamp() - o.began)::double precision as seconds, o.keeps_rows,
      exists (select from holder h where h.pid = o.pid or h.pid is null and h.who = o.who) as holds_fold_lock
    from open o)
select who, seconds, holds_fold_lock
from aged
where keeps_rows and seconds > $1 or holds_fold_lock and seconds > $2
order by seconds desc
limit 10
