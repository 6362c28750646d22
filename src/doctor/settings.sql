-- Settings that matter to exactness, or to what folds need.
with
  -- as the server, the database, roles, and roles in this database set it
  set_for as (
    select coalesce(quote_ident(r.rolname), 'every role') || coalesce(' in database ' || quote_ident(d.datname), '') as place,
      case when r.oid is null then format('alter database %I reset session_replication_role', d.datname)
           when d.oid is null then format('alter role %I reset session_replication_role', r.rolname)
           else format('alter role %I in database %I reset session_replication_role', r.rolname, d.datname) end as sql
    from pg_db_role_setting s
    left join pg_roles r on r.oid = s.setrole
    left join pg_database d on d.oid = s.setdatabase
    where s.setdatabase in (0, (select oid from pg_database where datname = current_database()))
      and 'session_replication_role=replica' = any (s.setconfig))
select 'danger' as severity, 'replica_role' as code, 'session_replication_role of ' || place as place,
  'sessions begin as replica: no trigger fires for what they write' as what,
  'Reset it, then run `tallybook verify`.' as advice, sql
from set_for
union all
select 'danger', 'replica_role', 'session_replication_role of the server', 'sessions begin as replica: no trigger fires for what they write',
  'Take it out of the server''s configuration, then run `tallybook verify`.', null
from pg_settings
where name = 'session_replication_role' and source not in ('database', 'user', 'database user', 'session', 'client') and reset_val = 'replica'
union all
select 'warning', 'not_durable', 'setting ' || name,
  case name
    when 'synchronous_commit' then 'a crash of the server loses what was acknowledged last; what is left is exact'
    else 'a crash of the server or the machine may leave the database damaged'
  end,
  'Switch it on, unless the data may be lost.', format('alter system set %s = on', name)
from pg_settings
where name in ('fsync', 'full_page_writes', 'synchronous_commit') and setting = 'off'
union all
select 'warning', 'no_autovacuum', 'setting ' || name,
  'nothing is vacuumed: reads and folds walk over ever more dead rows', 'Switch it on.', format('alter system set %s = on', name)
from pg_settings
where name in ('autovacuum', 'track_counts') and setting = 'off'
union all
select 'warning', 'no_autovacuum', format('table %s', c.oid::regclass),
  'it is not vacuumed: reads and folds walk over ever more dead rows', 'Reset that.', format('alter table %s reset (autovacuum_enabled)', c.oid::regclass)
from pg_class c, unnest(c.reloptions) as o
where c.relnamespace = 'tallybook'::regnamespace and o in ('autovacuum_enabled=false', 'autovacuum_enabled=off')
