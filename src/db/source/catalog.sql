-- What the source tables are made of: a row for each, in the order in which they are asked for, with its columns, the keys that `on conflict` can
-- name, and its foreign keys. One that does not exist has none of them.
select
  coalesce((
    select jsonb_agg(jsonb_build_object(
      'name', a.attname,
      'type', format_type(a.atttypid, null),
      'exact_type', format_type(a.atttypid, a.atttypmod),
      'labels', (select coalesce(jsonb_agg(l.enumlabel order by l.enumsortorder), '[]') from pg_enum l where l.enumtypid = a.atttypid),
      'tells_apart', a.atttypid::regtype::text <> 'citext' and not exists (
        select from pg_collation l where l.oid = a.attcollation and not l.collisdeterministic),
      'is_not_null', a.attnotnull,
      'has_default', a.atthasdef or a.attidentity <> '',
      'is_computed', a.attgenerated <> '' or a.attidentity = 'a') order by a.attnum)
    from pg_attribute a
    where a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped), '[]') as columns,
  coalesce((
    select jsonb_agg((
      select jsonb_agg(a.attname)
      from unnest(i.indkey::int2[]) with ordinality as k (number, place)
      join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.number
      where k.place <= i.indnkeyatts))
    from pg_index i
    where i.indrelid = t.oid and i.indisunique and i.indisvalid and i.indimmediate and i.indpred is null and i.indexprs is null), '[]') as keys,
  coalesce((
    select jsonb_agg(jsonb_build_object(
      'columns', (select jsonb_agg(a.attname) from pg_attribute a where a.attrelid = c.conrelid and a.attnum = any (c.conkey)),
      'parent', c.confrelid::regclass::text,
      'on_delete', c.confdeltype))
    from pg_constraint c
    where c.conrelid = t.oid and c.contype = 'f'), '[]') as foreign_keys,
  coalesce(t.relkind = 'p', false) as is_partitioned
from unnest($1::text[]) with ordinality as wanted (name, position)
left join pg_class t on t.oid = to_regclass(wanted.name)
order by position
