-- What differs between the schema that is there and the reference, which has the same objects under other names.
with
  spaces as (
    select oid, nspname like 'tallybook\_reference%' as is_reference, nspname in ('public', 'tallybook_reference_public') as is_source
    from pg_namespace
    where nspname in ('public', 'tallybook', 'tallybook_reference_public', 'tallybook_reference')),
  -- the driver's own record of migrations is in no migration
  relations as (
    select c.oid, c.relkind, c.relpersistence, s.is_reference, s.is_source, c.relname in ('task_usage', 'agent_task_queue', 'agent', 'issue') as is_captured
    from pg_class c join spaces s on s.oid = c.relnamespace
    where c.relname <> 'migration'),
  objects (is_reference, kind, name, definition) as (
    select s.is_reference, 'function', p.oid::regprocedure::text, pg_get_functiondef(p.oid)
    from pg_proc p join spaces s on s.oid = p.pronamespace
    where not s.is_source and p.prokind <> 'a'
    union all
    select is_reference, 'view', oid::regclass::text, pg_get_viewdef(oid)
    from relations
    where not is_source and relkind = 'v'
    union all
    select r.is_reference, 'table', r.oid::regclass::text,
      concat_ws(' ', r.relpersistence, r.relkind, string_agg(concat_ws(' ', a.attname, format_type(a.atttypid, a.atttypmod),
        a.attcollation::regcollation, a.attnotnull, a.attgenerated, pg_get_expr(d.adbin, d.adrelid)), ', ' order by a.attname))
    from relations r
    join pg_attribute a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
    left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where not r.is_source and r.relkind in ('r', 'p', 'f', 'c', 'm')
    group by r.is_reference, r.oid, r.relpersistence, r.relkind
    union all
    select r.is_reference, 'constraint', format('%s on %s', c.conname, r.oid::regclass), pg_get_constraintdef(c.oid)
    from pg_constraint c join relations r on r.oid = c.conrelid
    where not r.is_source
    union all
    select r.is_reference, 'index', i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid)
    from pg_index i join relations r on r.oid = i.indrelid
    where not r.is_source
    union all
    -- those of partitions are clones
    select r.is_reference, 'trigger', format('%s on %s', t.tgname, r.oid::regclass), pg_get_triggerdef(t.oid)
    from pg_trigger t join relations r on r.oid = t.tgrelid
    where not t.tgisinternal and t.tgparentid = 0 and (not r.is_source or (r.is_captured and t.tgname like 'tallybook\_%'))
    union all
    select r.is_reference, 'rule', format('%s on %s', w.rulename, r.oid::regclass), pg_get_ruledef(w.oid)
    from pg_rewrite w join relations r on r.oid = w.ev_class
    where not r.is_source and w.rulename <> '_RETURN'),
  there as (
    select kind, name, definition from objects where not is_reference),
  made as (
    select kind, replace(replace(name, 'tallybook_reference_public', 'public'), 'tallybook_reference', 'tallybook') as name,
      replace(replace(definition, 'tallybook_reference_public', 'public'), 'tallybook_reference', 'tallybook') as definition
    from objects where is_reference),
  differences as (
    select kind, name, made.definition,
      case when there.name is null then 'missing' when made.name is null then 'foreign' else 'altered' end as state
    from there full join made using (kind, name)
    where there.definition is distinct from made.definition)
select
  case
    when state = 'foreign' and kind not in ('trigger', 'rule', 'constraint') then 'note'
    when kind = 'index' then 'warning'
    else 'danger'
  end as severity,
  kind || '_' || state as code,
  case kind when 'function' then name else kind || ' ' || name end as place,
  case state
    when 'missing' then 'it is missing: migrations make it'
    when 'foreign' then 'no migration made it'
    else 'it is not what the migrations make'
  end as what,
  case state
    when 'foreign' then 'Find out who made it and why, and drop it if nobody needs it: schema tallybook is Tallybook''s own.'
    else 'Find out who changed it, make it as it was, then run `tallybook verify`: what was captured or folded meanwhile may be wrong.'
  end as advice,
  case
    when definition is null then null
    when kind = 'function' then definition
    when kind = 'view' then format(E'create or replace view %s as\n%s', name, definition)
    when kind = 'trigger' then regexp_replace(definition, '^CREATE ', 'CREATE OR REPLACE ')
    when kind = 'index' and state = 'missing' then definition
  end as sql
from differences
order by kind, name
