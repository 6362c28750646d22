-- What this database knows of pg_cron. Its settings and its scheduler are shown to roles that may see them; null where this one may not.
select current_setting('server_version_num')::integer / 10000 as major,
  current_database()::text as database,
  exists (select from pg_available_extensions where name = 'pg_cron') as is_available,
  exists (select from pg_extension where extname = 'pg_cron') as is_created,
  coalesce(has_schema_privilege(to_regnamespace('cron'), 'usage'), false) as may_use,
  (select setting from pg_settings where name = 'cron.database_name') as works_in,
  case when pg_has_role('pg_read_all_stats', 'usage')
    then exists (select from pg_stat_activity where backend_type = 'pg_cron launcher') end as runs,
  quote_ident(current_user) as role
