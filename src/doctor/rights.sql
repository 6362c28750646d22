-- Who may do what. Tallybook's functions run with their owner's rights: it must see every row, and nobody else may write what they write.
with
  owner as (
    select r.oid, r.rolname, r.rolsuper, r.rolbypassrls
    from (select mode() within group (order by proowner) as oid from pg_proc where pronamespace = 'tallybook'::regnamespace) most
    join pg_roles r using (oid)),
  tables as (
    select c.oid, c.relname, c.relowner, c.relacl, c.relrowsecurity, c.relforcerowsecurity, n.nspname = 'tallybook' as is_ours
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p')
      and (n.nspname = 'tallybook' or (n.nspname = 'public' and c.relname in ('task_usage', 'agent_task_queue', 'agent', 'issue'))))
select case when p.prosecdef then 'danger' else 'warning' end as severity, 'function_open' as code, p.oid::regprocedure::text as place,
  case when p.prosecdef then 'everybody may call it, with the rights of its owner' else 'everybody may call it' end as what,
  'Take the right away from PUBLIC.' as advice, format('revoke execute on function %s from public', p.oid::regprocedure) as sql
from pg_proc p
where p.pronamespace = 'tallybook'::regnamespace
  and exists (
    select from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a where a.grantee = 0 and a.privilege_type = 'EXECUTE')
union all
select 'danger', 'table_open', format('table %s', t.oid::regclass),
  format('%s may %s it: only Tallybook''s functions write it exactly', coalesce(quote_ident(r.rolname), 'PUBLIC'), lower(string_agg(a.privilege_type, ', '))),
  'Take the right away.',
  format('revoke %s on %s from %s', lower(string_agg(a.privilege_type, ', ')), t.oid::regclass, coalesce(quote_ident(r.rolname), 'public'))
from tables t
cross join aclexplode(t.relacl) a
left join pg_roles r on r.oid = a.grantee
-- what is not part of any sum, the service's own role may write
where t.is_ours and t.relname not in ('access_token', 'drift', 'entity_mark', 'verify_state') and a.grantee <> t.relowner and a.privilege_type in ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER')
group by t.oid, r.rolname
union all
select 'danger', 'schema_open', 'schema tallybook',
  format('%s may create objects in it, which calls of Tallybook''s functions could take for ours', coalesce(quote_ident(r.rolname), 'PUBLIC')),
  'Take the right away.', format('revoke create on schema tallybook from %s', coalesce(quote_ident(r.rolname), 'public'))
from pg_namespace n
cross join aclexplode(n.nspacl) a
left join pg_roles r on r.oid = a.grantee
where n.nspname = 'tallybook' and a.privilege_type = 'CREATE' and a.grantee <> n.nspowner
union all
select 'danger', 'row_security', format('table %s', t.oid::regclass),
  format('row security hides rows of it from role %I, which owns Tallybook''s functions: they are in no sum', o.rolname),
  'Let the role bypass row security, then run `tallybook verify`.', format('alter role %I bypassrls', o.rolname)
from tables t cross join owner o
where t.relrowsecurity and not o.rolsuper and not o.rolbypassrls and (t.relforcerowsecurity or not pg_has_role(o.oid, t.relowner, 'usage'))
union all
select 'danger', 'owner_lacks_right', format('table %s', t.oid::regclass),
  format('role %I, which owns Tallybook''s functions, may not %s it', o.rolname, lower(privilege)),
  'Grant it the right.', format('grant %s on %s to %I', lower(privilege), t.oid::regclass, o.rolname)
from tables t cross join owner o cross join unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE']) as privilege
where (t.is_ours or privilege = 'SELECT') and not has_table_privilege(o.oid, t.oid, privilege)
union all
select 'warning', 'owners_differ', p.oid::regprocedure::text,
  format('role %I owns it, and role %I the others: they may not be able to call each other', r.rolname, o.rolname),
  'Let one role own all of schema tallybook.', format('alter function %s owner to %I', p.oid::regprocedure, o.rolname)
from pg_proc p join pg_roles r on r.oid = p.proowner cross join owner o
where p.pronamespace = 'tallybook'::regnamespace and p.proowner <> o.oid
