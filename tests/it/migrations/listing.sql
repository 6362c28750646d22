-- Everything that the migrations make, one line of text each, in an order that does not depend on when it was made.
with ours as (
  select c.oid, n.nspname || '.' || c.relname as name, c.relkind, c.relreplident, c.reloptions
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where n.nspname in ('public', 'tallybook') and c.relname not like 'migration%')
select line from (
  select 'relation ' || name || ' ' || relkind::text || ' ' || relreplident::text || ' ' || coalesce(reloptions::text, '') as line from ours
  union all
  select 'column ' || o.name || ' ' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || ' ' || a.attnotnull || ' ' || a.attcollation::regcollation
    || ' ' || coalesce(pg_get_expr(d.adbin, d.adrelid), '') || ' ' || coalesce(col_description(a.attrelid, a.attnum), '')
  from ours o join pg_attribute a on a.attrelid = o.oid and a.attnum > 0 and not a.attisdropped
  left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
  where o.relkind in ('r', 'v', 'c')
  union all
  select 'constraint ' || o.name || ' ' || c.conname || ' ' || pg_get_constraintdef(c.oid) from ours o join pg_constraint c on c.conrelid = o.oid
  union all
  select 'index ' || pg_get_indexdef(o.oid) from ours o where o.relkind = 'i'
  union all
  select 'trigger ' || pg_get_triggerdef(t.oid) || ' ' || t.tgenabled::text from ours o join pg_trigger t on t.tgrelid = o.oid and not t.tgisinternal
  union all
  select 'view ' || o.name || ' ' || pg_get_viewdef(o.oid) from ours o where o.relkind = 'v'
  union all
  select 'comment ' || o.name || ' ' || obj_description(o.oid, 'pg_class') from ours o where obj_description(o.oid, 'pg_class') is not null
  union all
  select 'function ' || pg_get_functiondef(p.oid) || ' ' || coalesce(obj_description(p.oid, 'pg_proc'), '') || ' ' || coalesce(p.proacl::text, 'granted to public')
  from pg_proc p where p.pronamespace = 'tallybook'::regnamespace) x
order by line collate "C"
