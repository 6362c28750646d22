-- What stands in the way of adopting the source tables of this database, what adopting them takes, and what is good to know: a row for each finding.
-- Reads catalogs alone, and nothing of schema tallybook, which need not be there.
with recursive
  wanted (source, is_captured) as (
    values ('task_usage', true), ('agent_task_queue', true), ('agent', true), ('issue', true), ('workspace', false), ('agent_runtime', false), ('project', false)),
  wanted_columns (source, name, is_needed, kind) as (
    values
      ('task_usage', 'task_id', true, 'uuid'), ('task_usage', 'provider', true, 'name'), ('task_usage', 'model', true, 'name'),
      ('task_usage', 'input_tokens', true, 'count'), ('task_usage', 'output_tokens', true, 'count'), ('task_usage', 'created_at', true, 'time'),
      ('task_usage', 'cache_read_tokens', false, 'count'), ('task_usage', 'cache_write_tokens', false, 'count'),
      ('task_usage', 'cache_write_1h_tokens', false, 'count'), ('task_usage', 'cost_usd_ticks', false, 'count'),
      ('task_usage', 'event_key', false, 'name'), ('task_usage', 'updated_at', false, 'time'),
      ('agent_task_queue', 'id', true, 'uuid'), ('agent_task_queue', 'agent_id', true, 'uuid'), ('agent_task_queue', 'runtime_id', true, 'uuid'),
      ('agent_task_queue', 'issue_id', true, 'uuid'), ('agent', 'id', true, 'uuid'), ('agent', 'workspace_id', true, 'uuid'),
      ('issue', 'id', true, 'uuid'), ('issue', 'project_id', true, 'uuid'), ('workspace', 'id', true, 'uuid'),
      ('agent_runtime', 'id', true, 'uuid'), ('agent_runtime', 'workspace_id', true, 'uuid'), ('project', 'id', true, 'uuid'),
      ('project', 'workspace_id', true, 'uuid')),
  sources as (
    select w.source, w.is_captured, c.oid, c.relkind, c.relpersistence, c.relowner, c.relrowsecurity, c.relforcerowsecurity
    from wanted w left join pg_class c on c.relnamespace = to_regnamespace('public') and c.relname = w.source and c.relkind not in ('i', 'I', 't', 'c')),
  tree (source, oid, relkind) as (
    select s.source, c.oid, c.relkind
    from sources s
    cross join lateral (select s.oid union select relid from pg_partition_tree(s.oid)) m (oid)
    join pg_class c on c.oid = m.oid
    where s.is_captured),
  -- a domain is what it is made of
  bases (oid, base) as (
    select oid, oid from pg_type where typtype <> 'd'
    union all
    select t.oid, b.base from pg_type t join bases b on t.typtype = 'd' and t.typbasetype = b.oid),
  columns as (
    select w.*, s.oid as relation, a.attnum, format_type(a.atttypid, a.atttypmod) as type,
      case w.kind
        when 'uuid' then b.base = 'uuid'::regtype
        when 'time' then b.base in ('timestamptz'::regtype, 'timestamp'::regtype, 'date'::regtype)
        when 'count' then b.base in ('int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'numeric'::regtype, 'float4'::regtype, 'float8'::regtype)
        when 'name' then t.typcategory in ('S', 'E') or (w.name = 'event_key' and t.typcategory in ('N', 'U'))
      end as is_usable
    from wanted_columns w
    join sources s on s.source = w.source and s.oid is not null
    left join pg_attribute a on a.attrelid = s.oid and a.attname = w.name and a.attnum > 0 and not a.attisdropped
    left join bases b on b.oid = a.atttypid
    left join pg_type t on t.oid = b.base),
  me as (select oid, rolname, rolsuper, rolbypassrls from pg_roles where rolname = current_user),
  ours as (select to_regclass('tallybook.installation') is not null as is_there),
  findings (severity, code, place, what, advice) as (
    select 'obstacle', 'server_old', 'server', format('it is PostgreSQL %s, and 15 or newer is needed', current_setting('server_version')), 'Use a newer server.'
    where current_setting('server_version_num')::integer < 150000
    union all
    select 'obstacle', 'standby', 'server', 'it is a standby, which nothing can be written to', 'Connect to the primary.'
    where pg_is_in_recovery()
    union all
    select 'obstacle', 'table_missing', 'table public.' || source, 'it is not there',
      'Where usage is kept in tables of other names, it cannot be adopted; where there is none yet, `tallybook migrate up` makes them.'
    from sources where oid is null
    union all
    select 'obstacle', 'table_kind', 'table public.' || source, case
        when relpersistence = 't' then 'it is a temporary table'
        when relpersistence = 'u' then 'it is unlogged: a crash of the server empties it, and the rollups would go on showing what was in it'
        else format('it is a %s, whose changes cannot be captured',
          case relkind when 'v' then 'view' when 'm' then 'materialized view' when 'f' then 'foreign table' when 'S' then 'sequence' else 'relation of another kind' end)
      end,
      case when relpersistence = 'u' then format('Make it a logged table: alter table public.%I set logged', source) else 'Keep it in an ordinary or a partitioned table.' end
    from sources
    where (is_captured and relkind not in ('r', 'p')) or (is_captured and relpersistence <> 'p') or relkind in ('S')
    union all
    select 'obstacle', 'table_kind', 'table public.' || s.source, format('%s inherits from it: what is written there counts, and cannot be captured', i.inhrelid::regclass),
      format('Detach it: alter table %s no inherit public.%I', i.inhrelid::regclass, s.source)
    from sources s join pg_inherits i on i.inhparent = s.oid
    where s.is_captured and s.relkind = 'r'
    union all
    select 'obstacle', 'table_kind', format('partition %s', t.oid::regclass), 'it is a foreign table: what others write there cannot be captured',
      'Detach it, or keep it here.'
    from tree t where t.relkind = 'f'
    union all
    select 'obstacle', 'column_missing', format('table public.%s', source), format('it has no column %s', string_agg(name, ', ' order by name)), 'Add what is missing.'
    from columns where attnum is null and is_needed
    group by source
    union all
    select 'obstacle', 'column_type', format('column %s of public.%s', name, source), format('it is of type %s, and %s is needed', type,
      case kind when 'uuid' then 'uuid' when 'time' then 'timestamptz, timestamp or date' when 'count' then 'a type of numbers' else 'text, or what is like it,' end),
      'Give it such a type.'
    from columns where attnum is not null and not coalesce(is_usable, false)
    union all
    select 'obstacle', 'right_missing', format('database %I', current_database()), format('role %I may not create schema tallybook in it', current_user),
      format('Grant it: grant create on database %I to %I', current_database(), current_user)
    where to_regnamespace('tallybook') is null and not has_database_privilege(current_database(), 'create')
    union all
    select 'obstacle', 'right_missing', 'table public.' || s.source,
      format('role %I does not own it, which triggers and indexes, and their removal, need', current_user),
      format('Run this as %I, or grant it that role: grant %I to %I', r.rolname, r.rolname, current_user)
    from sources s join pg_roles r on r.oid = s.relowner
    where s.is_captured and not pg_has_role(s.relowner, 'usage')
    union all
    select 'obstacle', 'right_missing', 'table public.' || source, format('role %I may not read it', current_user), format('Grant it: grant select on public.%I to %I', source, current_user)
    from sources where oid is not null and not has_table_privilege(oid, 'select')
    union all
    select 'obstacle', 'row_security', 'table public.' || s.source,
      format('row security hides rows of it from role %I, so that they would be in no sum', me.rolname),
      case when pg_has_role(s.relowner, 'usage') then format('Let its owner see all: alter table public.%I no force row level security; or let the role: alter role %I bypassrls', s.source, me.rolname)
        else format('Let the role see all: alter role %I bypassrls', me.rolname) end
    from sources s cross join me
    where s.is_captured and s.relrowsecurity and not me.rolsuper and not me.rolbypassrls and (s.relforcerowsecurity or not pg_has_role(s.relowner, 'usage'))
    union all
    select 'obstacle', 'name_taken', 'schema tallybook', 'it is there, and not Tallybook''s: it holds ' || min(c.relname), 'Rename it, or drop it.'
    from pg_class c cross join ours
    where c.relnamespace = to_regnamespace('tallybook') and not ours.is_there and c.relname not in ('migration', 'migration_pkey')
    having count(*) > 0
    union all
    select 'obstacle', 'name_taken', format('trigger %I on %s', t.tgname, t.tgrelid::regclass), 'it is there, and not Tallybook''s', 'Rename it.'
    from pg_trigger t join tree on tree.oid = t.tgrelid
    where t.tgname like 'tallybook\_%' and t.tgfoid not in (select p.oid from pg_proc p where p.pronamespace = to_regnamespace('tallybook'))
    union all
    select 'obstacle', 'name_taken', format('relation public.%I', c.relname), 'it has a name that an index of Tallybook''s would have', 'Rename it.'
    from pg_class c
    where c.relnamespace = to_regnamespace('public') and c.relname like 'tallybook\_%'
      and not exists (select from pg_index i join tree on tree.oid = i.indrelid where i.indexrelid = c.oid)
    union all
    select 'obstacle', 'id_not_unique', 'table public.' || c.source, 'nothing holds its ids unique: usage would count more than once', format('Make them so: create unique index concurrently on public.%I (id)', c.source)
    from columns c join sources s on s.oid = c.relation
    where s.is_captured and c.name = 'id' and c.attnum is not null and s.relkind = 'r' and not exists (
      select from pg_index i where i.indrelid = c.relation and i.indisunique and i.indisvalid and i.indimmediate and i.indpred is null and i.indnkeyatts = 1 and i.indkey[0] = c.attnum)
    union all
    select 'note', 'id_not_unique', 'table public.' || c.source, 'nothing holds its ids unique by themselves; usage counts once for each row of an id', 'See that each id is there once.'
    from columns c join sources s on s.oid = c.relation
    where s.is_captured and c.name = 'id' and c.attnum is not null and s.relkind = 'p' and not exists (
      select from pg_index i where i.indrelid = c.relation and i.indisunique and i.indisvalid and i.indpred is null and i.indnkeyatts = 1 and i.indkey[0] = c.attnum)
    union all
    select 'note', 'column_missing', 'table public.task_usage', format('it has no column %s: %s', name, case name
      when 'event_key' then 'a task has one row for each provider and model'
      when 'updated_at' then 'windows that are rebuilt go by created_at alone'
      when 'cost_usd_ticks' then 'all its tokens count as not priced by their provider'
      else 'it counts as 0' end), ''
    from columns where attnum is null and not is_needed
    union all
    select 'note', 'time_without_zone', 'column created_at of public.task_usage', format('it is of type %s, and is read as UTC', type), ''
    from columns
    where source = 'task_usage' and name = 'created_at' and type !~ 'with time zone' and is_usable
    union all
    select 'note', 'replicated', 'table public.' || source, 'logical replication writes it: it is captured by row, by triggers that fire for that, too', ''
    from tree join pg_subscription_rel r on r.srrelid = tree.oid
    group by source
    union all
    select 'note', 'usual_design', 'table public.task_usage_daily',
      'it is what the usual design, a watermark and a dirty queue, sums usage up in: it is left as it is, and nothing of ours reads it',
      'Once the database is adopted, `tallybook adopt usual-design report` tells in which keys it differs from the raw rows, and how to move over.'
    from pg_class c
    where c.oid = to_regclass('public.task_usage_daily') and c.relkind in ('r', 'p')
      and not exists (
        select from unnest(array['bucket_date', 'workspace_id', 'runtime_id', 'provider', 'model']) as key (name)
        where not exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = key.name and a.attnum > 0 and not a.attisdropped))
    union all
    select 'note', 'long_transaction', format('backend %s (%s)', pid, coalesce(nullif(application_name, ''), 'no application name')),
      format('its transaction has been open since %s: building indexes waits for its end, and nobody else for us', to_char(xact_start at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"')),
      format('End it if nobody needs it: select pg_terminate_backend(%s)', pid)
    from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid() and (backend_xid is not null or backend_xmin is not null)
      and xact_start < clock_timestamp() - interval '10 seconds'
    union all
    select 'note', 'long_transaction', format('prepared transaction %L', gid), 'it waits to be committed: building indexes waits for its end', 'Commit it or roll it back.'
    from pg_prepared_xacts where database = current_database())
select severity, code, place, what, advice
from findings
order by array_position(array['obstacle', 'note'], severity), code, place, what
