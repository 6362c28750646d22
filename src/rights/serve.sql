-- What role $1 needs to run the service, and whether it has it: a row for each object, with the statement that grants what is needed.
-- A role that does not exist has nothing.
with
  wanted (kind, name, privileges) as (
    values
      ('database', current_database()::text, 'connect'),
      ('schema', 'public', 'usage'),
      ('schema', 'tallybook', 'usage'),
      -- reports, and what they are attributed to
      ('table', 'public.workspace', 'select, insert, update, delete'),
      ('table', 'public.agent_runtime', 'select, insert, update, delete'),
      ('table', 'public.agent', 'select, insert, update, delete'),
      ('table', 'public.project', 'select, insert, update, delete'),
      ('table', 'public.issue', 'select, insert, update, delete'),
      ('table', 'public.agent_task_queue', 'select, insert, update, delete'),
      ('table', 'public.task_usage', 'select, insert, update, delete'),
      ('table', 'tallybook.sealed_identity', 'select'),
      ('table', 'tallybook.entity_mark', 'select, insert, update, delete'),
      ('function', 'identity_digest', 'execute'),
      ('function', 'purge_sealed', 'execute'),
      -- tokens, without their digests; the audit log, which it cannot write but by that function
      ('function', 'token_access', 'execute'),
      ('function', 'record_audit', 'execute'),
      ('table', 'tallybook.audit_log', 'select'),
      -- the fold loop: all that it writes it writes by functions that run as their owner
      ('function', 'fold_lock_key', 'execute'),
      ('function', 'fold_lock_holder', 'execute'),
      ('function', 'rollup_task_usage_daily', 'execute'),
      ('function', 'backfill_slice', 'execute'),
      ('function', 'settle_views', 'execute'),
      ('function', 'record_fold_error', 'execute'),
      -- the verifier, and what it notes
      ('function', 'compare', 'execute'),
      ('function', 'slice_before', 'execute'),
      ('table', 'tallybook.verify_state', 'select, update'),
      ('function', 'source_changes', 'execute'),
      ('function', 'follow_sources', 'execute'),
      ('function', 'notice_rewrites', 'execute'),
      ('table', 'tallybook.drift', 'select, insert, update, delete'),
      -- readiness, metrics and status
      ('table', 'tallybook.migration', 'select'),
      ('table', 'tallybook.rollup', 'select'),
      ('table', 'tallybook.task_usage_rollup_state', 'select'),
      ('table', 'tallybook.fold_state', 'select'),
      ('function', 'capture_faults', 'execute'),
      ('table', 'tallybook.capture_break', 'select'),
      ('function', 'is_adopted', 'execute'),
      ('function', 'backlog', 'execute'),
      ('function', 'task_usage_rollup_lag_seconds', 'execute'),
      ('table', 'tallybook.backfill_progress', 'select'),
      ('function', 'raw_rows_before', 'execute'),
      ('function', 'tasks_complete_from', 'execute'),
      ('function', 'quarter_hours_exact_from', 'execute'),
      -- what now-views call and read in the name of whoever reads them
      ('function', 'pending', 'execute'),
      ('function', 'is_seen', 'execute'),
      ('function', 'is_covered', 'execute'),
      ('function', 'contribution', 'execute'),
      ('function', 'usage_rows', 'execute'),
      ('function', 'task_rows', 'execute'),
      ('function', 'agent_rows', 'execute'),
      ('function', 'issue_rows', 'execute'),
      ('function', 'utc', 'execute'),
      ('table', 'tallybook.sealed_usage', 'select'),
      ('function', 'bucket', 'execute'),
      ('function', 'provider_key', 'execute'),
      ('function', 'name_key', 'execute'),
      ('function', 'long_name_key', 'execute'),
      ('function', 'finite', 'execute')
    union all
    select 'table', format('tallybook.%I', name || '_now'), 'select' from tallybook.rollup),
  objects as (
    select w.kind, w.privileges,
      case w.kind when 'database' then quote_ident(w.name) when 'function' then p.oid::regprocedure::text else w.name end as name,
      case w.kind
        when 'database' then (select d.oid from pg_database d where d.datname = current_database())
        when 'schema' then to_regnamespace(w.name)::oid
        when 'table' then to_regclass(w.name)::oid
        else p.oid
      end as oid
    from wanted w
    -- a name that several functions have stands for all of them
    left join pg_proc p on w.kind = 'function' and p.pronamespace = to_regnamespace('tallybook') and p.proname = w.name),
  rights as (
    select o.kind, o.name, o.privileges,
      to_regrole(quote_ident($1)) is not null and (
        select bool_and(case o.kind
          when 'database' then has_database_privilege(to_regrole(quote_ident($1))::oid, o.oid, privilege)
          when 'schema' then has_schema_privilege(to_regrole(quote_ident($1))::oid, o.oid, privilege)
          when 'table' then has_table_privilege(to_regrole(quote_ident($1))::oid, o.oid, privilege)
          else has_function_privilege(to_regrole(quote_ident($1))::oid, o.oid, privilege)
        end)
        from regexp_split_to_table(o.privileges, ', ') as privilege) as is_held,
      format('grant %s on %s %s to %I', o.privileges, o.kind, o.name, $1) as statement
    from objects o
    where o.oid is not null
    union all
    -- where a policy would hide rows from it, sums would lack them; the server refuses to give such sums, whatever the policy says
    select 'role', quote_ident($1), 'bypassrls', false, format('alter role %I bypassrls', $1)
    where exists (
      select from pg_class c left join pg_roles r on r.rolname = $1
      where c.relnamespace = 'public'::regnamespace and c.relrowsecurity
        and format('public.%I', c.relname) in (select name from wanted where kind = 'table')
        and coalesce(not r.rolsuper and not r.rolbypassrls and (c.relforcerowsecurity or not pg_has_role(r.oid, c.relowner, 'usage')), true)))
select * from rights order by array_position(array['database', 'schema', 'table', 'function', 'role'], kind), name
