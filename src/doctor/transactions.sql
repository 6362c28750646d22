-- Who keeps vacuum away, so that reads and folds walk over dead rows, or keeps others from folding. Reads stay exact.
select 'warning' as severity, 'long_transaction' as code,
  format('backend %s (%s)', pid, coalesce(nullif(application_name, ''), 'no application name')) as place,
  format('its transaction has been open since %s: dead rows stay as long as it does', to_char(xact_start at time zone 'UTC', 'YYYY-MM-DD HH24:MI "UTC"')) as what,
  'End it, or the transaction.' as advice, format('select pg_terminate_backend(%s)', pid) as sql
from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid() and (backend_xid is not null or backend_xmin is not null)
  and xact_start < clock_timestamp() - interval '15 minutes'
union all
select 'warning', 'prepared_transaction', format('prepared transaction %L', gid),
  format('it has been waiting since %s: dead rows stay as long as it does', to_char(prepared at time zone 'UTC', 'YYYY-MM-DD HH24:MI "UTC"')),
  'Commit it or roll it back.', null
from pg_prepared_xacts
where database = current_database() and prepared < clock_timestamp() - interval '15 minutes'
union all
select 'warning', 'fold_lock', tallybook.fold_lock_holder(), 'it holds the lock of whoever writes rollups: nobody folds, backfills or repairs',
  'End its transaction.', null
from pg_locks l
left join pg_stat_activity a on a.pid = l.pid
where l.locktype = 'advisory' and l.granted and l.objsubid = 1
  and l.database = (select oid from pg_database where datname = current_database())
  and (l.classid::bigint << 32) | l.objid::bigint = tallybook.fold_lock_key()
  and (l.pid is null or a.xact_start < clock_timestamp() - interval '5 minutes')
union all
select 'warning', 'replication_slot', format('replication slot %s', quote_ident(slot_name)),
  case when active then 'it lags far behind: dead rows stay until it has caught up' else 'nobody uses it, and it keeps dead rows and the write-ahead log' end,
  'Let its reader catch up, or drop it if it has none any more.', case when not active then format('select pg_drop_replication_slot(%L)', slot_name) end
from pg_replication_slots
where (not active and restart_lsn is not null) or age(xmin) > 1000000
union all
select 'note', 'activity_hidden', format('role %I', current_user), 'it does not see when other roles'' transactions began',
  'Grant it pg_read_all_stats to have them looked at.', format('grant pg_read_all_stats to %I', current_user)
where not pg_has_role('pg_read_all_stats', 'usage')
